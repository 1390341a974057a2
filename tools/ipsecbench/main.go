// Command ipsecbench measures what IPsec between a relay and a server (RFC 8213)
// costs, and how fast it comes and comes back, and writes docs/ipsec-figures.md.
//
//	ipsecbench [--fairlead PATH] [--rounds N]
//
// It starts itself as `ipsecbench measure`, by scripts/esp: here if the kernel has
// ESP, else in the virtual machine, from which only text comes back. The network:
//
//	gen g0 ------ d0 relay u0 ------ s0 srv
//
// `fairlead load` plays the clients in gen; relay has `fairlead run`, srv a server
// that keeps no state (lab/reflector, as `ipsecbench reflector ADDRESS`) and, where
// the hop is protected, `fairlead guard`. strongSwan runs in relay and srv.
//
// It prints a line for each bar, "bar NAME: FIGURE, wanted FIGURE:" with met or
// missed. A missed bar is a result; only a run that could not be done whole ends
// with an error.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"fairlead/internal/lab/reflector"
	"fairlead/tools/bench/priority"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "reflector":
		err = reflector.Run(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "measure":
		err = measure(os.Args[2])
	default:
		err = bench()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ipsecbench:", err)
		os.Exit(1)
	}
}

// bench has everything measured where there is ESP, and writes the document.
func bench() error {
	fairlead := flag.String("fairlead", "build/fairlead", "the program")
	document := flag.String("document", "docs/ipsec-figures.md", "what to write at the end of a whole run")
	rounds := flag.Int("rounds", wholeRounds, "how often each thing is measured")
	flag.Parse()
	if *rounds < 1 || flag.NArg() > 0 {
		return errors.New("usage: ipsecbench [--fairlead PATH] [--document FILE] [--rounds N], at least one round")
	}
	before := loadAverage()
	defer priority.Prefer()()
	figures, err := elsewhere(*fairlead, *rounds)
	if err != nil {
		return err
	}
	r := report{Figures: figures, Host: describe(*fairlead, before)}
	fmt.Println()
	for _, one := range r.bars() {
		fmt.Println(one)
	}
	if *rounds != wholeRounds {
		fmt.Printf("fewer rounds than usual: %s stays as it is\n", *document)
		return nil
	}
	text, err := r.markdown()
	if err != nil {
		return err
	}
	return os.WriteFile(*document, []byte(text), 0o644)
}

// wholeRounds is how often each thing is measured for the document.
const wholeRounds = 5

// esp runs a program where the kernel has ESP.
const esp = "scripts/esp"

// elsewhere has the figures measured, shows what is said meanwhile, and reads them.
func elsewhere(fairlead string, rounds int) (f figures, err error) {
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	program, err := filepath.Abs(fairlead)
	if err != nil {
		return f, err
	}
	cmd := exec.Command("nice", "-n", priority.Niceness, esp, self, "measure", strconv.Itoa(rounds))
	cmd.Env = append(os.Environ(), "FAIRLEAD_BIN="+program, "FAIRLEAD_VM_LIMIT=900", "NO_COLOR=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return f, err
	}
	if err := cmd.Start(); err != nil {
		return f, err
	}
	// Ctrl-C reaches the child, too, which tidies up; we wait for that.
	signal.Ignore(syscall.SIGINT)
	f, err = read(out, os.Stdout)
	if ended := cmd.Wait(); ended != nil {
		return f, errors.Join(err, fmt.Errorf("%s: %w", esp, ended))
	}
	return f, err
}

// mark begins the line that has the figures, in JSON.
const mark = "figures "

// read passes on what is said until the figures come, and takes these.
func read(from io.Reader, to io.Writer) (f figures, err error) {
	found := false
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		text, is := strings.CutPrefix(lines.Text(), mark)
		if !is {
			fmt.Fprintln(to, lines.Text())
			continue
		}
		found = true
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return f, fmt.Errorf("figures %q: %w", text, err)
		}
	}
	if err := lines.Err(); err != nil {
		return f, err
	}
	if !found {
		return f, errors.New("no figures came")
	}
	return f, nil
}

// Command bench times the relay as a whole process against other relays, and
// holds it against the bars that it has to reach.
//
//	bench [--rounds N] [--only NAME,...] [--bars NAME,...]
//
// It needs root, two cores, and the packages of scripts/packages bench. Every
// contender has a network of its own, of three namespaces:
//
//	gen g0 ------ d0 relay u0 ------ s0 srv
//
// `fairlead load` plays the clients in gen, lab/reflector the server in srv, both
// on the second core. The relay has the first core to itself. Contenders take
// turns, those that wait are stopped (SIGSTOP), and every figure is the median of
// the rounds.
//
// The CPU time of a relay is what its threads ran (/proc/PID/task/*/schedstat).
// On veth that includes what happens to a packet until it is queued at the
// receiver, for everybody in the same way.
//
// It prints tables and a line for each bar, "bar NAME: FIGURE, wanted FIGURE:"
// with met, missed or void, and writes docs/performance.md. A missed bar is a
// result; only a run that could not be done whole ends with an error.
//
// `bench reflector ADDRESS` is the server, and `bench thrower INTERFACE` a host that
// floods its link: bench starts itself so.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"fairlead/internal/lab/reflector"
	"fairlead/tools/bench/priority"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "reflector" {
		exit(reflector.Run(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == "thrower" {
		exit(throw(os.Args[2]))
	}
	var o options
	flag.StringVar(&o.fairlead, "fairlead", "build/fairlead", "the program")
	flag.StringVar(&o.dir, "dir", "build", "a folder on a real file system, for the store")
	flag.StringVar(&o.document, "document", "docs/performance.md", "what to write at the end of a run of all bars")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each contender has its turn")
	flag.DurationVar(&o.length, "length", 2500*time.Millisecond, "how long one run of the load generator takes")
	flag.IntVar(&o.clients, "clients", 256, "clients in the plain load")
	flag.IntVar(&o.present, "present", 100_000, "delegations that are there beforehand")
	only := flag.String("only", "", "contenders, with commas: "+strings.Join(names(contenders), ", "))
	bars := flag.String("bars", "", "bars, with commas, with or without relay6-")
	flag.Parse()
	o.only, o.bars = list(*only, ""), list(*bars, "relay6-")
	exit(run(o))
}

// options is what was asked for.
type options struct {
	fairlead string
	dir      string
	document string
	rounds   int
	length   time.Duration
	clients  int
	present  int
	only     []string // empty: all
	bars     []string // empty: all
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// list is the words between commas, each with the prefix.
func list(text, prefix string) (words []string) {
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, prefix+strings.TrimPrefix(word, prefix))
		}
	}
	return words
}

func (o *options) check() error {
	if o.rounds < 1 || o.clients < 1 || o.present < 1 {
		return errors.New("rounds, clients and present must be at least 1")
	}
	for _, name := range o.only {
		if !slices.Contains(names(contenders), name) {
			return fmt.Errorf("there is no contender %q", name)
		}
	}
	for _, name := range o.bars {
		if !slices.Contains(barNames(), name) {
			return fmt.Errorf("there is no bar %q", name)
		}
	}
	return nil
}

// run does what was asked for, and tidies up also when it is interrupted.
func run(o options) error {
	if err := o.check(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if runtime.NumCPU() < 2 {
		return errors.New("two cores are needed: one for the relay, one for the clients and the server")
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer priority.Prefer()()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan error, 1)
	go func() { done <- b.run() }()
	select {
	case err = <-done:
	case s := <-interrupted:
		err = fmt.Errorf("ended by signal: %v", s)
	}
	return errors.Join(err, b.close())
}

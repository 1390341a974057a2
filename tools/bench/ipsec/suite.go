// Package ipsec measures what IPsec between a relay and a server (RFC 8213) costs, how soon it is
// there after a start, and how soon it is back after a loss.
//
// It starts itself as `bench inside ROUNDS`, by scripts/esp: on this machine if the kernel has
// ESP, else in the virtual machine, from which only text comes back: the figures, in the Go
// benchmark format. In the network of tools/bench/network, relay runs `fairlead run`, and srv
// runs `fairlead guard` if the hop is protected. strongSwan runs in both.
package ipsec

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// Suite is the benches of docs/ipsec-figures.md.
type Suite struct{}

// These are measured, and have these units.
const (
	start = "Start"
	cut   = "Cut"
	clear = "Throughput/hop=clear"
	esp   = "Throughput/hop=esp"

	answered  = "answered-sec"  // from the start of relay and guard to the first answer
	noticed   = "noticed-sec"   // from the loss of the SAs until the relay says so
	recovered = "recovered-sec" // from the loss of the SAs to the first answer
)

// The bars, in seconds.
const (
	wantStart   = 5
	wantNotice  = 3
	wantRecover = 10
)

// Flags implements harness.Suite.
func (Suite) Flags(*flag.FlagSet) {}

// Benches implements harness.Suite. There is one bench, which measures everything where there is
// ESP.
func (Suite) Benches(r *harness.Run) ([]harness.Bench, error) {
	return []harness.Bench{{
		Name: "ipsec", Between: []string{"fairlead"}, Once: true,
		Turns: []harness.Turn{func(_ string, _ int, to *harness.Results) error { return elsewhere(r, to) }},
		Bars: []harness.Bar{
			within("ipsec-start", start, answered, wantStart),
			within("ipsec-notice", cut, noticed, wantNotice),
			within("ipsec-recover", cut, recovered, wantRecover),
			{Name: "ipsec-throughput", Judge: func(r *harness.Results) harness.Verdict {
				return harness.Verdict{Figure: fmt.Sprintf("%.2f", r.Median(esp, network.Rate)/r.Median(clear, network.Rate))}
			}},
		},
	}}, nil
}

func within(bar, name, unit string, want float64) harness.Bar {
	return harness.Bar{Name: bar, Wanted: fmt.Sprintf("under %g s", want), Judge: func(r *harness.Results) harness.Verdict {
		got := r.Median(name, unit)
		return harness.Verdict{Figure: fmt.Sprintf("%.1f s", got), Met: got < want}
	}}
}

// elsewhere runs the measurement where there is ESP, shows its output, and reads the figures in
// it.
func elsewhere(r *harness.Run, to *harness.Results) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := harness.Preferred("scripts/esp", self, "inside", strconv.Itoa(r.Rounds))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "FAIRLEAD_BIN="+r.Fairlead, "FAIRLEAD_VM_LIMIT=900", "NO_COLOR=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Ctrl-C also reaches the child, which then removes everything; we wait for that.
	signal.Ignore(syscall.SIGINT)
	err = read(out, os.Stdout, to)
	if ended := cmd.Wait(); ended != nil {
		err = errors.Join(err, fmt.Errorf("scripts/esp: %w", ended))
	}
	return err
}

// mark begins the lines that have figures.
const mark = "figures"

// read passes on the output, and takes the figures out of it.
func read(from io.Reader, shown io.Writer, to *harness.Results) error {
	var figures strings.Builder
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		if text, is := strings.CutPrefix(lines.Text(), mark); is {
			fmt.Fprintln(&figures, strings.TrimSpace(text))
		} else {
			fmt.Fprintln(shown, lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if figures.Len() == 0 {
		return errors.New("no figures came")
	}
	return to.Read(strings.NewReader(figures.String()))
}

// Told implements harness.Suite.
func (Suite) Told(*harness.Run) (string, error) { return "", nil }

// Document implements harness.Suite.
func (Suite) Document(r *harness.Run) (string, error) {
	return fill(r, time.Now().UTC(), harness.LoadAverage())
}

// row is one line of the table of rounds.
type row struct{ Title, Median, All string }

func fill(r *harness.Run, when time.Time, after string) (string, error) {
	rows := func(title, name, unit, format string) row {
		return row{title, harness.Figure(format, r.Results.Median(name, unit)), harness.List(format, r.Results.Values(name, unit))}
	}
	return harness.Fill(document, map[string]any{
		"When": when, "After": after, "Results": r.Results, "Judged": r.Judged,
		// If the kernel is another one than this machine's, the figures are from another machine.
		"Emulated": r.Results.Described("kernel") != r.Results.Machine("kernel"),
		"Rounds": []row{
			rows("start to the first answer, s", start, answered, "%.2f"),
			rows("SAs lost until noticed, s", cut, noticed, "%.2f"),
			rows("SAs lost to the first answer, s", cut, recovered, "%.2f"),
			rows("exchanges a second in clear", clear, network.Rate, "%.0f"),
			rows("exchanges a second in ESP", esp, network.Rate, "%.0f"),
		},
		"Load": "fairlead " + strings.Join(throughput.Arguments("g0"), " "),
	})
}

// document is docs/ipsec-figures.md. Its text is here; all figures in it are filled in.
var document = harness.Page(`# Figures of IPsec

Made by {{code "make bench-ipsec"}}, which measures all of this and writes this file. Do not edit it.
{{if .Emulated}}
The kernel of the machine has no ESP, so all of it ran in a virtual machine that is
emulated in software: everything takes many times as long as on a real machine,
and what computes suffers more than what waits. The ratio travels better.
{{end}}
| | |
|---|---|
| when | {{.When.Format "2006-01-02"}} |
| machine | {{.Results.Machine "processor"}}, {{.Results.Machine "kernel"}} |
| load of the machine | {{.Results.Machine "load-average"}} before, {{.After}} after |
| measured in | {{if .Emulated}}an emulated machine: {{end}}{{.Results.Described "processor"}}, cores: {{.Results.Described "cores"}}, {{.Results.Described "kernel"}} |
| fairlead | {{.Results.Machine "fairlead"}} |

{{template "bars" .}}
## Rounds

| | median | rounds |
|---|---|---|
{{range .Rounds}}| {{.Title}} | {{.Median}} | {{.All}} |
{{end}}
## How it is measured

Three network namespaces, joined by veth pairs:

    gen g0 ------ d0 relay u0 ------ s0 srv

In relay runs {{code "fairlead run"}}, in srv a server that keeps no state
(internal/lab/reflector), and {{code "fairlead guard"}} beside it, which the server knows
nothing of. strongSwan runs at both ends; the hop has a pre-shared key and the
proposals that are there by default.

- ipsec-start: strongSwan has been started, and holds nothing. {{code "fairlead run"}} and
  {{code "fairlead guard"}} are started at the same moment, each round in new namespaces,
  and a client asks every 50 ms. The time ends with the first answer. A start
  before the first one, for which the kernel loads its modules, does not count.
- ipsec-notice: {{code "ip xfrm state deleteall"}} in relay, while a client asks every 50 ms.
  The time ends when the relay's control interface says that the peer is not protected.
- ipsec-recover: from the same moment to the first answer to what was asked after it.
- ipsec-throughput: exchanges a second in ESP, by those in clear, in turns. One
  run: {{code .Load}}
  (Solicit and Advertise, Information-request and Reply). Load generator, relay,
  server and both kernels' ends share the machine's cores.

All of it has priority over what else the machine does.

To repeat it: {{code "make bench-ipsec"}}.
`)

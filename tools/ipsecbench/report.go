package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"text/template"
	"time"

	"fairlead/tools/bench/bars"
)

// report is what the document is made from.
type report struct {
	Figures figures
	Host    host
}

// host is the machine that the whole ran on, around the virtual one if there was
// one.
type host struct {
	When      time.Time
	Processor string
	Kernel    string
	Fairlead  string // its version
	Before    string // load averages
	After     string
}

func describe(fairlead, before string) host {
	h := host{When: time.Now().UTC(), Processor: processor(), Kernel: kernel(), Before: before, After: loadAverage()}
	if out, err := exec.Command(fairlead, "version").Output(); err == nil {
		h.Fairlead, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	}
	return h
}

// loadAverage are the three averages, as the kernel prints them.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// The bars, in seconds.
const (
	wantStart   = 5
	wantNotice  = 3
	wantRecover = 10
)

// bars holds the medians against what is wanted.
func (r *report) bars() []bars.Bar {
	within := func(name string, all []float64, want float64) bars.Bar {
		got := bars.Median(all)
		return bars.Bar{Name: name, Figure: fmt.Sprintf("%.1f s", got), Wanted: fmt.Sprintf("under %g s", want), Met: got < want}
	}
	f := &r.Figures
	return []bars.Bar{
		within("ipsec-start", f.Start, wantStart),
		within("ipsec-notice", f.Notice, wantNotice),
		within("ipsec-recover", f.Recover, wantRecover),
		{Name: "ipsec-throughput", Figure: fmt.Sprintf("%.2f", r.Ratio())},
	}
}

// Ratio is how many exchanges are left with IPsec of one without it.
func (r *report) Ratio() float64 {
	return bars.Median(r.Figures.Protected) / bars.Median(r.Figures.Clear)
}

// Emulated reports whether it was measured in another machine than the host.
func (r *report) Emulated() bool { return r.Figures.Kernel != r.Host.Kernel }

// document is docs/ipsec-figures.md. Nothing in it is written by hand but what is
// here.
var document = template.Must(template.New("").Funcs(template.FuncMap{
	"code":    func(s string) string { return "`" + s + "`" },
	"seconds": func(all []float64) string { return list(all, "%.2f") },
	"rates":   func(all []float64) string { return list(all, "%.0f") },
	"s":       func(all []float64) string { return fmt.Sprintf("%.2f", bars.Median(all)) },
	"n":       func(all []float64) string { return fmt.Sprintf("%.0f", bars.Median(all)) },
}).Parse(`# Figures of IPsec

Made by {{code "make bench-ipsec"}}, which measures all of this and writes this file. Do not edit it.
{{if .Emulated}}
The kernel of the machine has no ESP, so all of it ran in a virtual machine that is
emulated in software: everything takes many times as long as on a real machine,
and what computes suffers more than what waits. The ratio travels better.
{{end}}
| | |
|---|---|
| when | {{.Host.When.Format "2006-01-02"}} |
| machine | {{.Host.Processor}}, {{.Host.Kernel}} |
| load of the machine | {{.Host.Before}} before, {{.Host.After}} after |
| measured in | {{if .Emulated}}an emulated machine: {{end}}{{.Figures.Processor}}, cores: {{.Figures.Cores}}, {{.Figures.Kernel}} |
| fairlead | {{.Host.Fairlead}} |

## Bars

| bar | figure | wanted | |
|---|---|---|---|
{{range .Bars}}| {{.Name}} | {{.Figure}} | {{with .Wanted}}{{.}}{{else}}-{{end}} | {{.Verdict}} |
{{end}}
A missed bar is a result, not an error of the run.

## Rounds

| | median | rounds |
|---|---|---|
| start to the first answer, s | {{s .Figures.Start}} | {{seconds .Figures.Start}} |
| SAs lost until noticed, s | {{s .Figures.Notice}} | {{seconds .Figures.Notice}} |
| SAs lost to the first answer, s | {{s .Figures.Recover}} | {{seconds .Figures.Recover}} |
| exchanges a second in clear | {{n .Figures.Clear}} | {{rates .Figures.Clear}} |
| exchanges a second in ESP | {{n .Figures.Protected}} | {{rates .Figures.Protected}} |

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
`))

// list are figures with commas.
func list(all []float64, format string) string {
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = fmt.Sprintf(format, one)
	}
	return strings.Join(texts, ", ")
}

// markdown is the document.
func (r *report) markdown() (string, error) {
	var w strings.Builder
	err := document.Execute(&w, struct {
		*report
		Bars []bars.Bar
		Load string
	}{r, r.bars(), "fairlead " + strings.Join(loadArguments, " ")})
	if err != nil {
		return "", fmt.Errorf("document: %w", err)
	}
	return w.String(), nil
}

package main

import (
	"fmt"
	"strings"
	"text/template"
)

// document is docs/performance.md. Nothing in it is written by hand but what is
// here.
var document = template.Must(template.New("").Funcs(template.FuncMap{
	"markdown": func(g grid) string { return g.writer().RenderMarkdown() },
	"code":     func(s string) string { return "`" + s + "`" },
}).Parse(`# Performance

Made by {{code "make bench"}}, which measures all of this and writes this file. Do not edit it.
Absolute figures belong to the machine below; the ratios travel better.

| | |
|---|---|
| when | {{.When.Format "2006-01-02"}} |
| processor | {{.Machine.Processor}}, {{.Machine.Cores}} cores |
| kernel | {{.Machine.Kernel}} |
| Go | {{.Machine.Go}} |
| file system of the store | {{.Machine.FileSystem}} |
| fairlead | {{.Machine.Fairlead}} |
| rounds | {{.Rounds}} of {{.Length}} a run |

## Bars

| bar | figure | wanted | |
|---|---|---|---|
{{range .Bars}}| {{.Name}} | {{.Figure}} | {{.Wanted}} | {{.Verdict}}{{with .Void}}: {{.}}{{end}} |
{{end}}
A missed bar is a result, not an error of the run. A void one says nothing: what
would have made the figure mean something was not there.
{{range .Tables}}
## {{.Title}}

{{markdown .}}
{{end}}
Every figure is the median of the rounds. Loss counts what was answered later
than 250 ms as well. Dashes: not measured.
{{with .Notes}}
## Beside the bars

{{range .}}- {{.}}
{{end}}{{end}}
## How it is measured

Each contender has three network namespaces, joined by veth pairs:

    gen g0 ------ d0 relay u0 ------ s0 srv

The relay has one core to itself. On the other, {{code "fairlead load"}} plays the
clients in gen, and a server that keeps no state (internal/lab/reflector) answers
in srv. Contenders take turns, one round after another; those that wait are
stopped. All of them have priority over what else the machine does. CPU time is what the relay's threads ran ({{code "/proc/PID/task/*/schedstat"}})
from the start of the measurement to its end, by the exchanges that were answered
in time or late; on veth a sender's time includes the way of the packet into the
receiver's queue.

- Plain: {{.Clients}} clients, each with its own link-layer address, link-local address
  and DUID, one Solicit for one Information-request. The kernel below every relay
  is told all link-layer addresses beforehand, so that relays which need them lose
  no time. 64 exchanges are under way at a time (closed loop); then there are {{.OpenRate}} a
  second (open loop); then {{.Factor}} times what the closed loop did (overload). With {{.Many}}
  clients there is one more closed loop, which counts for no bar.
- Mix: of 100 exchanges 10 are a Request that grants a prefix to a client which had
  none, 50 Renews, 20 Solicits, 20 Information-requests. Only fairlead has state to
  keep, so only fairlead plays it: with 64 exchanges under way, with {{.PeakWindow}}, so
  that there is always something to do while the disk works (relay6-mix-vs-best-peer
  takes this one, and both are shown), and then with {{.Factor}}
  times the better of the two (overload).
- fairlead: {{code "filter: strict"}}, {{code "loop-drop: drop"}}, {{.Present}} delegations present at the start, each
  with its route and its filter elements, the store on the file system above, rates
  unlimited except for the floods, warnings logged and no grants (what the others
  would log goes nowhere either). The runs of the mix and of relay6-grants leave
  more delegations behind than there were.
- blind: {{code "tools/bench/blind/blind.c"}} puts 38 octets in front of a message and takes 38
  away from an answer, in batches, and looks at nothing: what UDP sockets permit.
  If it does not do {{.BlindVsISC}} times what ISC dhcrelay does, the comparisons are void.
- relay6-overload: void if less than {{.Enough}} times the peak was really sent.
- relay6-cold-clients and relay6-4096-addresses: nothing is told to the kernel, and
  its neighbour table has its usual room of 1024.
- relay6-slow-disk: strace holds back every sync of the store by 20 ms, and is there
  without doing so in the other run; 400 grants a second beside 1600 Solicits.
- relay6-restore: routes and filter removed, page cache dropped; from the start of
  the program to its READY=1, and then everything in the kernel is counted.
- relay6-flood: two hosts on one switched link, default limits; 500 honest messages a
  second from 256 clients, beside a host that sends all it can, from one link-layer
  address or from 65 536. The worse of the two counts.
- relay6-flood-elsewhere: the same honest messages on one link, default limits, and beside
  them a flood on a second one, of Solicits from {{.Throwers}} link-layer addresses as fast as the
  second core can send. The figure is what is lost when the relay serves the second link,
  less what is lost when it does not. Void if the flood is under {{.LeastElsewhere}} a second.

Contenders:

{{range .Entries}}- {{.Name}}: {{.About}}{{with .Version}}, {{.}}{{end}}
{{end}}
To repeat it: {{code "make bench"}}. To look at a part of it:

    make bench BENCH='--rounds 1 --only blind,fairlead --bars cpu-vs-blind-c'
`))

// markdown is the document.
func (r *report) markdown() (string, error) {
	var w strings.Builder
	err := document.Execute(&w, map[string]any{
		"When": r.When, "Machine": r.Machine, "Bars": r.Bars, "Entries": r.Entries, "Tables": r.tables(), "Notes": r.notes(),
		"Rounds": r.Options.rounds, "Length": r.Options.length, "Clients": r.Options.clients, "Present": r.Options.present,
		"OpenRate": openRate, "PeakWindow": peakWindow, "Many": manyClients, "Factor": overloadFactor, "Enough": enoughOverload, "BlindVsISC": wantBlindVsISC,
		"Throwers": throwers, "LeastElsewhere": leastElsewhere,
	})
	if err != nil {
		return "", fmt.Errorf("document: %w", err)
	}
	return w.String(), nil
}

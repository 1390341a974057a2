package relays

import (
	"fmt"
	"slices"
	"time"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
	"fairlead/tools/bench/servers"
)

// Told implements harness.Suite. Two versions are compared by benchstat; otherwise there are
// tables.
func (s *Suite) Told(r *harness.Run) (told string, err error) {
	if s.against != "" {
		return r.Compare("relay", []string{before, after}, []string{network.CPU, network.Rate, ready, renewed, network.RSS})
	}
	for _, g := range s.tables(r.Results) {
		told += "\n" + g.String() + "\n"
	}
	return told, nil
}

// tables returns the tables of both relays and of the server.
func (s *Suite) tables(r *harness.Results) []harness.Grid {
	return slices.Concat(s.relay6().tables(r), s.relay4().tables(r), servers.Tables(r))
}

// tables returns the plain load for all contenders, and the mix for ours.
func (s *role) tables(r *harness.Results) (all []harness.Grid) {
	head := []string{
		"relay", "exchanges/s", "CPU us/exchange", "p50 us", "p99 us",
		fmt.Sprintf("p50 us at %d/s", openRate), "p99 us", "loss",
		"offered/s in overload", "answered/s", "p99 us", "loss", "RSS MB",
	}
	g := harness.Grid{Title: fmt.Sprintf("%s, plain: %s", s.name, s.plainTitle), Head: head}
	crowd := harness.Grid{
		Title: fmt.Sprintf("%s, plain, with %d clients", s.name, manyClients),
		Head:  []string{"relay", "exchanges/s", "CPU us/exchange", "times the CPU with few"},
	}
	m := harness.Grid{Title: s.name + ", mix: a tenth grants, half renews, the rest looks", Head: head}
	for _, c := range s.contenders {
		name := s.named("Plain", "closed", c.name)
		if len(r.Values(name, network.Rate)) == 0 {
			continue
		}
		g.Rows = append(g.Rows, s.cells(r, c.name, "Plain", "closed", c.name))
		name = s.named("Crowd", "closed", c.name)
		us := r.Median(name, network.CPU)
		crowd.Rows = append(crowd.Rows, []string{
			c.name, harness.Figure("%.0f", r.Median(name, network.Rate)), harness.Figure("%.1f", us*1e6), harness.Figure("%.2f", us/s.plainCPU(r, c.name)),
		})
		if name = s.named("Mix", "closed", c.name); len(r.Values(name, network.Rate)) > 0 {
			m.Rows = append(m.Rows, s.cells(r, c.name, "Mix", "closed", c.name),
				s.cells(r, fmt.Sprintf("%s, %d under way", c.name, peakWindow), "Mix", "peak", c.name))
		}
	}
	for _, one := range []harness.Grid{g, crowd, m} {
		if len(one.Rows) > 0 {
			all = append(all, one)
		}
	}
	return all
}

// cells returns one row: medians of the rounds, and a dash for a load that was not played. The
// other loads stand beside the closed loop.
func (s *role) cells(r *harness.Results, title, bench, closed, who string) []string {
	open, overload := "open", "overload"
	if closed != "closed" {
		open, overload = "", ""
	}
	row := []string{title}
	for _, c := range []struct {
		load, unit, format string
		times              float64
	}{
		{closed, network.Rate, "%.0f", 1},
		{closed, network.CPU, "%.1f", 1e6},
		{closed, network.P50, "%.0f", 1e6},
		{closed, network.P99, "%.0f", 1e6},
		{open, network.P50, "%.0f", 1e6},
		{open, network.P99, "%.0f", 1e6},
		{open, network.Loss, "%.1f %%", 100},
		{overload, network.Offered, "%.0f", 1},
		{overload, network.Rate, "%.0f", 1},
		{overload, network.P99, "%.0f", 1e6},
		{overload, network.Loss, "%.1f %%", 100},
		{closed, network.RSS, "%.0f", 1e-6},
	} {
		row = append(row, harness.Figure(c.format, c.times*r.Median(s.named(bench, c.load, who), c.unit)))
	}
	return row
}

// Document implements harness.Suite.
func (s *Suite) Document(r *harness.Run) (string, error) {
	if s.only != "" || s.against != "" {
		return "", nil
	}
	return s.document(r, time.Now().UTC(), slices.Concat(s.relay6().titles(), s.relay4().titles(), servers.Titles()))
}

func (s *role) titles() (all []string) {
	for _, c := range s.contenders {
		all = append(all, s.name+": "+c.title())
	}
	return all
}

func (s *Suite) document(r *harness.Run, when time.Time, titles []string) (string, error) {
	return harness.Fill(document, map[string]any{
		"When": when, "Results": r.Results, "Judged": r.Judged, "Titles": titles, "Tables": s.tables(r.Results), "Notes": r.Notes(),
		"Rounds": r.Rounds, "Length": s.length, "Clients": s.clients, "Present": s.present,
		"OpenRate": openRate, "PeakWindow": peakWindow, "Many": manyClients, "Factor": overloadFactor, "Enough": enoughOverload, "BlindVsISC": s.relay6().blindVsISC, "BlindVsISC4": s.relay4().blindVsISC,
		"EqualRate": servers.EqualRate, "Throwers": network.Throwers, "LeastElsewhere": leastElsewhere,
	})
}

// document is docs/performance.md. Its text is here; all figures in it are filled in.
var document = harness.Page(`# Performance

Made by {{code "make bench"}}, which measures all of this and writes this file. Do not edit it.
Absolute figures are those of the machine below; ratios differ less between machines.

| | |
|---|---|
| when | {{.When.Format "2006-01-02"}} |
| processor | {{.Results.Described "processor"}}, {{.Results.Described "cores"}} cores |
| kernel | {{.Results.Described "kernel"}} |
| Go | {{.Results.Described "go"}} |
| file system of the store | {{.Results.Described "file-system"}} |
| fairlead | {{.Results.Described "fairlead"}} |
| rounds | {{.Rounds}} of {{.Length}} a run |

{{template "bars" .}}{{range .Tables}}
## {{.Title}}

{{.Markdown}}
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

relay6 (DHCPv6) and relay4 (DHCPv4) are measured one after the other, in the same way unless
the text below says otherwise. The relay has one core to itself. On the other core,
{{code "fairlead load"}} plays the clients in gen, and a server that keeps no state
(internal/lab/reflector) answers in srv. Contenders take turns, one round after another;
those that wait are stopped. All of them have priority over everything else on the machine.
CPU time is the time for which the relay's threads ran ({{code "/proc/PID/task/*/schedstat"}}) from the
start of the measurement to its end, divided by the exchanges that were answered, in time or
late. On veth, a sender's time includes the way of the packet into the receiver's queue.

- Plain: {{.Clients}} clients, each with its own link-layer address, link-local address and
  DUID. For each Solicit there is one Information-request. For relay4 all are Discovers, as
  every other message changes or needs a lease. Before the measurement, the kernel of every
  relay is told all link-layer addresses, so that relays which need them lose no time. First 64
  exchanges are under way at a time (closed loop), then {{.OpenRate}} begin each second (open
  loop), then {{.Factor}} times as many as the closed loop did (overload). With {{.Many}}
  clients there is one more closed loop, which counts for no bar.
- Mix of relay6: of 100 exchanges 10 are a Request that grants a prefix to a client which had
  none, 50 are Renews, 20 Solicits, 20 Information-requests. Only fairlead has state to keep, so
  only fairlead is measured. It has 64 exchanges under way; then {{.PeakWindow}}, so that there
  is always something to do while the disk works; then {{.Factor}} times the better rate of the
  two (overload). Both closed loops are shown; relay6-mix-vs-best-peer takes the second.
- Mix of relay4: of 100 exchanges 10 are the four messages that get a client its lease, 50 are
  Requests to all servers that renew a lease, 40 Discovers, in the same loops. The relay keeps the
  leases that it sees; no answer waits for that.
- fairlead as relay6: {{code "filter: strict"}}, {{code "loop-drop: drop"}}, {{.Present}} delegations present at the start, each
  with its route and its filter elements; the store on the file system above; rates unlimited
  except for the floods; warnings are logged and grants are not (what the others would log goes
  nowhere, too). The runs of the mix and of relay6-grants leave more delegations than there were
  before. As relay4: {{code "agent-information: add"}}, so that every message has option 82 with
  circuit-id and relay-id; {{.Present}} leases on view at the start; the rest as for relay6.
- The bench makes sure that a contender for DHCPv4 really relays. The server answers no message
  without giaddr, and none without the sub-options of option 82 that the list below says the
  contender adds. Each contender's first Offer must have giaddr and no option 82.
- blind: {{code "tools/bench/relays/blind/blind.c"}} puts 38 octets in front of a message and takes 38 octets
  away from an answer, in batches, and looks at nothing else. It shows what UDP sockets permit. In
  DHCPv4 it writes giaddr and hops, adds no option, and sends answers to yiaddr. If it does not do
  {{.BlindVsISC}} times what ISC dhcrelay does (relay4: {{.BlindVsISC4}} times, as dhcrelay is
  faster there), the comparisons are void.
- Overload: void if less than {{.Enough}} times the peak was really sent.
- relay6-cold-clients and 4096-addresses: the kernel is told no addresses beforehand, and its
  neighbour table has its usual room for 1024.
- relay6-slow-disk: strace holds back every sync of the store by 20 ms. In the other run strace is
  there, too, and holds back nothing. There are 400 grants a second beside 1600 Solicits.
- relay6-restore: routes and filter are removed and the page cache is dropped before. The figure is
  the time from the start of the program to the answer to a Renew, which a client sends every 10 ms.
  After that everything in the kernel is counted.
- Flood: two hosts on one switched link, default limits. One host sends 500 messages a second from
  256 clients, the other all it can, from one link-layer address or from 65 536. The worse of the
  two results counts.
- relay6-flood-elsewhere: the same 500 messages a second on one link, default limits. On a second
  link there is a flood of Solicits from {{.Throwers}} link-layer addresses, as fast as the second core
  can send. The figure is the loss when the relay serves the second link, less the loss when it
  does not. It is void if the flood is under {{.LeastElsewhere}} a second.

The server is measured in the place of the relay, alone on its core. From the other core, a relay
agent brings it the messages of the clients behind it:

- Both servers delegate a /60 of one pool to each client, have their leases in a file on the file
  system above, and log only warnings. fairlead syncs each lease to the disk before the Reply
  leaves; Kea's memfile syncs none. Each exchange is Solicit, Advertise, Request, Reply, for a client
  that has no lease.
- Equal load: perfdhcp begins {{.EqualRate}} exchanges a second. perfdhcp does not wait but looks for
  answers all the time, and would have no time left for twice as many. So {{code "fairlead load"}} finds the
  peaks. It has 16 to 1024 exchanges under way; the peak is the most that a server answers while
  less than 0.5 % is lost.
- The comparisons are void if the generator's core was busy for more than 90 % of the time.
- server6-memory, server6-full-pool and server6-start: two servers with a pool of 2^20 prefixes each.
  The store of one has leases for 99 % of the pool, each for one client behind the relay agent; the
  bench writes them there before that server starts. The store of the other is empty. The first
  figure is the difference of their memory, the second that of their CPU time for a Solicit. For the
  third, the server with the leases starts again, with the page cache dropped: it is the time from the
  start of the program to the answer to a Renew of a random lease, which the relay agent sends every
  10 ms.

Contenders:

{{range .Titles}}- {{.}}
{{end}}
To repeat it: {{code "make bench"}}. To look at a part of it:

    make bench BENCH='--rounds 1 --only blind,fairlead,dhcrelay --bars cpu-vs-blind-c'
`)

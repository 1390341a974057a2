package load_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
)

// everything is a mix in which every kind comes up; 16 is the sum of weights.
const everything = "solicit=2,request=3,renew=3,rebind=1,release=1,information-request=1,rapid=2,four-way=3"

// Kea on the link answers every kind of exchange, and tshark finds nothing wrong with the
// messages. Nothing is lost, however slow the machine is, because the timeout is long.
func TestKeaOnTheLink(t *testing.T) {
	for _, ias := range []string{"pd", "both"} {
		t.Run(ias, func(t *testing.T) {
			c, s := cable(t)
			kea(t, s)
			tap, err := capture.Start(s, "s0", capture.DHCPv6)
			need(t, err)
			got := run(t, c, "--interface c0 --first 1000 --clients 60 --prepare 20 --ia "+ias+
				" --mix "+everything+" --count 160 --duration 0 --window 8 --timeout 50s")
			if got.code != 0 {
				t.Fatalf("exit code %d: %s", got.code, got.err)
			}
			wantAllAnswered(t, got, 160)
			for kind, weight := range map[string]int{"solicit": 2, "request": 3, "renew": 3, "rebind": 1, "release": 1, "information-request": 1, "rapid": 2, "four-way": 3} {
				if k := got.Kinds[kind]; k.Offered != 10*weight || k.Answered != 10*weight {
					t.Errorf("%s: offered %d, answered %d, want %d", kind, k.Offered, k.Answered, 10*weight)
				}
			}
			if first := slices.Index(got.events, "measure"); first < 1 || got.events[first-1] != "prepare" || got.events[len(got.events)-1] != "result" {
				t.Errorf("events %q: want prepare, then measure, and result last", got.events)
			}
			need(t, tap.Stop())
			need(t, tap.Check())
			wantSpoken(t, tap, ias)
			wantLeases(t, leases(t, s, "kea", "leases.csv"), ias)
		})
	}
}

func wantAllAnswered(t *testing.T, got outcome, n int) {
	t.Helper()
	if got.Offered != n || got.Answered != n || got.Late+got.Lost+got.SendFailed+got.Unexpected != 0 || len(got.Status) != 0 || got.Exhausted {
		t.Errorf("%s\nwant %d offered and answered, and nothing else", got.out, n)
	}
	if l := got.Latency; !(0 < l.Min && l.Min <= l.P50 && l.P50 <= l.P90 && l.P90 <= l.P99 && l.P99 <= l.Max) {
		t.Errorf("latencies %+v are in no order", l)
	}
}

// wantSpoken checks the clients' messages as tshark decodes them: the addresses of the sender,
// its identifier, and what it asks for.
func wantSpoken(t *testing.T, tap *capture.Capture, ias string) {
	t.Helper()
	rows, err := tap.Fields("udp.dstport == 547", "eth.src", "ipv6.src", "dhcpv6.duid.bytes", "dhcpv6.iaid", "dhcpv6.msgtype", "udp.checksum.status", "dhcpv6.elapsed_time")
	need(t, err)
	types := map[string]bool{}
	for _, row := range rows {
		mac := strings.ReplaceAll(row[0], ":", "")
		source := fmt.Sprintf("fe80::fa:%s:%s", strings.TrimLeft(mac[4:6]+"ff", "0"), "fe"+mac[6:8]+":"+mac[8:12])
		if netip.MustParseAddr(source) != netip.MustParseAddr(row[1]) {
			t.Fatalf("%q: the source of that link-layer address should be %s", row, source)
		}
		duid, _, _ := strings.Cut(row[2], ",")
		if strings.ReplaceAll(duid, ":", "") != "00030001"+mac || !strings.HasPrefix(mac, "02fa0000") {
			t.Fatalf("%q: want the identifier 00030001%s", row, mac)
		}
		if row[6] == "" {
			t.Fatalf("%q: has no elapsed time", row)
		}
		types[row[4]] = true
	}
	for _, want := range []string{"1", "3", "5", "6", "8", "11"} {
		if !types[want] {
			t.Errorf("no message of type %s among %d", want, len(rows))
		}
	}
	// IA_NA is option 3, IA_PD option 25.
	for option, want := range map[string]bool{"3": ias == "both", "25": true} {
		rows, err := tap.Fields("dhcpv6.msgtype == 3 && dhcpv6.option.type == "+option, "frame.number")
		need(t, err)
		if got := len(rows) > 0; got != want {
			t.Errorf("--ia %s: Requests with option %s: %v, want %v", ias, option, got, want)
		}
	}
}

// wantLeases checks Kea's lease file, which has a line for each grant, renewal and release: the
// clients that were granted something are those of this test.
func wantLeases(t *testing.T, rows [][]string, ias string) {
	t.Helper()
	const prefix = "2" // the lease_type of a delegation; that of an address is 0
	granted := map[string]map[string]bool{}
	for _, row := range rows {
		duid, kind := strings.ReplaceAll(row[1], ":", ""), row[6]
		if n, err := strconv.ParseUint(strings.TrimPrefix(duid, "0003000102fa"), 16, 32); err != nil || n < 1000 || n > 1059 {
			t.Fatalf("%q: is no client from 1000 to 1059", row)
		}
		if granted[kind] == nil {
			granted[kind] = map[string]bool{}
		}
		granted[kind][duid] = true
	}
	// 20 clients were prepared, and newcomers sent 30 Requests; at most 10 of those are from
	// clients that come again after a Release.
	if n := len(granted[prefix]); n < 40 {
		t.Errorf("%d clients have had a prefix, want 40 at least", n)
	}
	if n := len(granted["0"]); (n > 0) != (ias == "both") {
		t.Errorf("--ia %s: %d clients have had an address", ias, n)
	}
}

// The load generator plays a relay agent in front of the clients, to servers behind a router.
func TestRelayed(t *testing.T) {
	for kind, name := range map[peer.ServerKind]string{peer.Kea: "--interface-id port7", peer.Dhcpd: ""} {
		t.Run(string(kind), func(t *testing.T) {
			top, err := lab.ForTest(t).Topology(lab.Plan{})
			need(t, err)
			_, err = peer.StartServer(top.Server, kind, peer.ServerConfig{Timers: peer.LongTimers})
			need(t, err)
			tap, err := capture.Start(top.Server, "s0", capture.DHCPv6)
			need(t, err)
			got := run(t, top.Relay, fmt.Sprintf("--server %s --local %s --link-address %s %s --clients 200 --prepare 10 "+
				"--mix solicit=1,request=1,renew=1,rebind=1,four-way=1 --count 100 --duration 0 --window 8 --timeout 50s",
				lab.ServerAddress, lab.RelayAddress, lab.LinkAddress(1), name))
			if got.code != 0 {
				t.Fatalf("exit code %d: %s", got.code, got.err)
			}
			wantAllAnswered(t, got, 100)
			need(t, tap.Stop())
			need(t, tap.Check())
			wantRelayed(t, tap, name != "")
		})
	}
}

// wantRelayed checks all Relay-forwards that were recorded. On a busy machine some may be missing
// in the recording.
func wantRelayed(t *testing.T, tap *capture.Capture, named bool) {
	t.Helper()
	rows, err := tap.Fields("udp.dstport == 547 && dhcpv6.msgtype == 12", "dhcpv6.linkaddr", "dhcpv6.interface_id", "ipv6.src", "dhcpv6.hopcount")
	need(t, err)
	if len(rows) == 0 {
		t.Error("no Relay-forward was recorded")
	}
	for _, row := range rows {
		id := strings.ReplaceAll(row[1], ":", "")
		if row[0] != lab.LinkAddress(1).String() || row[2] != lab.RelayAddress.String() || row[3] != "0" ||
			named != (id == "port7" || id == "706f727437") || !named && id != "" {
			t.Fatalf("tshark reads a Relay-forward as %q", row)
		}
	}
}

// Through a relay that delegates: its kernel has a route for each prefix that a client holds.
func TestThroughFairlead(t *testing.T) {
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 1})
	need(t, err)
	_, err = peer.StartServer(top.Server, peer.Kea, peer.ServerConfig{Timers: peer.LongTimers})
	need(t, err)
	_, err = relay.Start(top.Relay, relay.Config{Binary: labtest.Program(), Text: relay.Standard(top)})
	need(t, err)
	got := run(t, top.Client(1), "--interface c0 --clients 60 --prepare 20 --count 80 --mix renew=1,solicit=1,information-request=1,rebind=1 --duration 0 --window 4 --timeout 50s")
	if got.code != 0 {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	wantAllAnswered(t, got, 80)
	routes, err := top.Relay.IP("-6 route show proto 87")
	need(t, err)
	for n := range uint32(20) {
		via := netip.AddrFrom16(loadgen.LinkLocal(n)).String()
		if strings.Count(routes, " via "+via+" ") != 1 {
			t.Errorf("%s\nhas not one route via client %d, %s", routes, n, via)
		}
	}
	if n := strings.Count(routes, "\n"); n != 20 {
		t.Errorf("%s\nwant 20 routes", routes)
	}
}

// If a server stops answering, every exchange is lost, and no answer is made up.
func TestLoss(t *testing.T) {
	c, s := cable(t)
	server := kea(t, s)
	need(t, server.Kill())
	got := run(t, c, "--interface c0 --mix solicit --count 100 --duration 0 --window 10 --timeout 50ms --max-loss 99.5")
	if got.Offered != 100 || got.Lost != 100 || got.Answered+got.Late+got.SendFailed+got.Unexpected != 0 {
		t.Errorf("%s\nwant 100 offered and lost", got.out)
	}
	if got.code != 1 || !strings.Contains(got.err, "100 % of the exchanges were not answered in time, --max-loss is 99.5") {
		t.Errorf("exit code %d, %s", got.code, got.err)
	}
	// Ten exchanges at a time wait for their timeout.
	if got.Seconds < 0.5 {
		t.Errorf("%d exchanges ten at a time, each in vain for 50 ms, took %.3f s", got.Offered, got.Seconds)
	}
	if code := run(t, c, "--interface c0 --mix solicit --count 10 --duration 0 --timeout 50ms --max-loss 100").code; code != 0 {
		t.Errorf("--max-loss 100: exit code %d", code)
	}
	// Without a server nobody can be granted anything.
	got = run(t, c, "--interface c0 --mix request --count 10")
	if got.code != 1 || !strings.Contains(got.err, "no server has answered in 10s") || len(got.events) != 0 {
		t.Errorf("exit code %d: %s, events %q", got.code, got.err, got.events)
	}
}

// An open loop begins no exchange before its time.
func TestRate(t *testing.T) {
	c, s := cable(t)
	kea(t, s)
	got := run(t, c, "--interface c0 --mix solicit --first 1000 --clients 50 --rate 500 --count 251 --duration 0 --timeout 50s")
	wantAllAnswered(t, got, 251)
	if got.Seconds < 0.5 {
		t.Errorf("251 exchanges, 2 ms from one to the next, took %.3f s", got.Seconds)
	}
}

// There are only so many clients that hold nothing.
func TestExhausted(t *testing.T) {
	c, s := cable(t)
	kea(t, s)
	got := run(t, c, "--interface c0 --mix request --first 1000 --clients 30 --window 4 --duration 50s --timeout 50s")
	if got.code != 0 || !got.Exhausted || got.Answered != 30 || got.Offered != 30 {
		t.Errorf("exit code %d, %s\nwant an early end after 30 Requests", got.code, got.out)
	}
}

// If a server was away for a while, what it answers afterwards is late, and nothing is counted
// twice.
func TestLate(t *testing.T) {
	c, s := cable(t)
	server := kea(t, s)
	need(t, server.Signal(syscall.SIGSTOP))
	p, err := c.Start(lab.Command{
		Name: "load",
		Args: []string{labtest.Program(), "load", "--json", "--interface", "c0", "--mix", "solicit", "--first", "1000", "--clients", "20", "--window", "5", "--timeout", "100ms", "--duration", "0"},
	})
	need(t, err)
	lost := regexp.MustCompile(`"lost":[1-9][0-9]*,"p50_us"`)
	need(t, lab.Until(patience, "exchanges are lost", func() bool { return lost.MatchString(p.Log()) }))
	need(t, server.Signal(syscall.SIGCONT))
	answered := regexp.MustCompile(`"answered":[1-9][0-9]*,"lost":[0-9]+,"p50_us"`)
	need(t, lab.Until(patience, "exchanges are answered", func() bool { return answered.MatchString(p.Log()) }))
	need(t, p.Signal(syscall.SIGINT))
	need(t, p.Wait(patience))
	var got Report
	for line := range strings.Lines(p.Log()) {
		if strings.Contains(line, `"result"`) {
			need(t, json.Unmarshal([]byte(line), &got))
		}
	}
	if got.Late == 0 || got.Answered == 0 || got.Answered+got.Late+got.Lost != got.Offered {
		t.Errorf("%s\nwant some late, some answered, and the sum to be what was offered", p.Log())
	}
	if got.Latency.Max > 100_000 {
		t.Errorf("%g us is the latency of something that was in time", got.Latency.Max)
	}
}

// Ctrl-C ends the measurement, and what was measured is printed.
func TestInterrupted(t *testing.T) {
	c, s := cable(t)
	kea(t, s)
	p, err := c.Start(lab.Command{
		Name: "load",
		Args: []string{labtest.Program(), "load", "--interface", "c0", "--mix", "solicit", "--first", "1000", "--clients", "20", "--rate", "100", "--duration", "0"},
	})
	need(t, err)
	need(t, p.Logged(patience, "/s answered")) // a line of progress
	need(t, p.Signal(syscall.SIGINT))
	need(t, p.Wait(patience))
	log := p.Log()
	for _, want := range []string{
		"interface c0: playing 20 clients, 02:fa:00:00:03:e8 to 02:fa:00:00:03:fb\n",
		" exchange  offered  answered",
		" exchanges a second offered and ",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("%s\nhas no %q", log, want)
		}
	}
	// Before anything is measured there is nothing to print.
	p, err = s.Start(lab.Command{Name: "load", Args: []string{labtest.Program(), "load", "--interface", "s0", "--mix", "renew", "--prepare", "5"}})
	need(t, err)
	need(t, p.Logged(patience, "playing"))
	need(t, p.Signal(syscall.SIGINT))
	err = p.Wait(patience)
	if err == nil || !strings.Contains(p.Log(), "fairlead: load: interrupted") {
		t.Errorf("%v: %s", err, p.Log())
	}
}

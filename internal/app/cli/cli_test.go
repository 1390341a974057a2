package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"fairlead/internal/app/api"
	"fairlead/internal/app/cli"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"fairlead": func() { os.Exit(program()) }})
}

// program is cmd/fairlead with stand-ins for the functions that are given to this package. It
// also writes what it prints to the file $TEE, for scripts that wait for a line.
func program() int {
	var stdout io.Writer = os.Stdout
	if path := os.Getenv("TEE"); path != "" {
		f, err := os.Create(path)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		stdout = io.MultiWriter(f, os.Stdout)
	}
	return cli.Main(cli.Commands{
		Version: "1.2.3", Run: standIn{stdout, "run"}, Guard: standIn{stdout, "guard"},
		Load: config.Kinds{config.Relay6Kind(), config.Relay4Kind(), config.Server6Kind()}.Load, Roles: cli.Join(cli.Relay(), cli.Relay4(), cli.Server6()),
	}, os.Args[1:], stdout, os.Stderr)
}

// standIn is a process that only says what it was asked for, and fails for a bad file.
type standIn struct {
	io.Writer
	name string
}

func (s standIn) say(what, path string) error {
	fmt.Fprintln(s, what, path)
	if strings.Contains(path, "bad") {
		return errors.New(what + " " + path + ": the device is on fire:\nat the back")
	}
	return nil
}

func (s standIn) Run(_ context.Context, path string) error { return s.say(s.name, path) }

func (s standIn) Plan(path string) (string, error) {
	return fmt.Sprintf("the plan of %s for %s\n", path, s.name), s.say("plan", path)
}

func (s standIn) Purge(path string) error { return s.say("purge "+s.name, path) }

// The scripts type commands and check what is printed. The control server stands over a small
// relay with fixed figures. With UPDATE=1 the output is written into the scripts: read the
// difference.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE") == "1",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit":         exit,
			"attached":     attached,
			"emit":         emit,
			"lines":        lines,
			"relay":        relay,
			"guard":        guard,
			"certificates": certificates,
		},
	})
}

type (
	fakeKey  struct{}
	guardKey struct{}
)

// setup starts the servers of one script: that of a relay on the socket $SOCKET, that of a guard
// on $GUARD.
func setup(env *testscript.Env) error {
	c := config.Default()
	c.Control.Socket, c.Control.Group = filepath.Join(env.WorkDir, "c.sock"), "0"
	fake, fakeGuard := controltest.New(), controltest.NewGuard()
	log := slog.New(slog.DiscardHandler)
	relay, err := control.Listen(&c.Process, fake.Routes(), log)
	if err != nil {
		return err
	}
	serve(env, relay)
	g := c.Process
	g.Control.Socket = filepath.Join(env.WorkDir, "g.sock")
	guard, err := control.Listen(&g, fakeGuard.Routes(), log)
	if err != nil {
		return err
	}
	serve(env, guard)
	env.Values[fakeKey{}], env.Values[guardKey{}] = fake, fakeGuard
	env.Setenv("SOCKET", c.Control.Socket)
	env.Setenv("GUARD", g.Control.Socket)
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector would wait a second at the end of each program
	return nil
}

// serve runs a server until the script ends.
func serve(env *testscript.Env, s *control.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	env.Defer(func() {
		cancel()
		if err := <-ended; err != nil {
			env.T().Log("server:", err)
			env.T().FailNow()
		}
	})
}

// exit runs a command and checks its exit code: exit CODE COMMAND...
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var failed interface{ ExitCode() int }
		if !errors.As(err, &failed) {
			ts.Fatalf("%v", err)
		}
		code = failed.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func poll(ts *testscript.TestScript, what string, is func() bool) {
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("after 30 s still not: %s", what)
		}
	}
}

func fakeOf(ts *testscript.TestScript) *controltest.Fake {
	return ts.Value(fakeKey{}).(*controltest.Fake)
}

func guardOf(ts *testscript.TestScript) *controltest.FakeGuard {
	return ts.Value(guardKey{}).(*controltest.FakeGuard)
}

// attached waits until somebody watches relay or guard; ! attached waits until nobody does,
// because a server learns only a moment later that a reader has gone.
func attached(ts *testscript.TestScript, neg bool, _ []string) {
	poll(ts, fmt.Sprintf("somebody watches: %v", !neg), func() bool {
		return (fakeOf(ts).Feed.Active() || guardOf(ts).Feed.Active()) != neg
	})
}

// lines waits until a file has that many lines: lines COUNT FILE
func lines(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	path := ts.MkAbs(args[1])
	poll(ts, args[1]+" has "+args[0]+" lines", func() bool {
		b, err := os.ReadFile(path)
		return err == nil && strings.Count(string(b), "\n") >= want
	})
}

// relay changes the state of the relay: relay
// degraded|empty|broken|problems|protected|manual|unprotected|server
func relay(ts *testscript.TestScript, _ bool, args []string) {
	f := fakeOf(ts)
	f.Mu.Lock()
	defer f.Mu.Unlock()
	switch args[0] {
	case "degraded":
		o := &f.Overview
		o.Clock = api.ClockStatus{Clock: api.Clock{State: "unsynchronised", MaxErrorMicros: 16000000}}
		o.Store = api.StoreStatus{Full: true, DiskBytes: 900, RecordsSetAside: 1, LastError: "store: commit: disk full"}
		o.Host.Refused, o.Host.LastComparison, o.Refusals = 2, time.Time{}, nil
		o.Config.LastError = "fairlead.yaml:3:1: peers: missing"
		o.Unmatched = []api.LinkHoldings{{Link: "ppp2", Prefixes: 1}, {Link: "ppp3", Prefixes: 2, Addresses: 1}}
		o.Peers[1].Protection, o.Peers[1].Protected = "ipsec", false
		o.Degraded = []string{"store: full", "clock: not synchronised"}
		o.Limits = []api.LimitMet{{Limit: "limit-client", Link: "br-cust7", Client: controltest.Alice, LinkLayer: "02:00:5e:10:00:01", Last: controltest.Start, Times: 1}}
		o.RefusedGrants = []api.RefusedGrants{{Link: "br-cust7", Reason: "not-delegable", Times: 3, Prefix: netip.MustParsePrefix("2001:db8:4500::/56"), Detail: "covers 2001:db8:4500:ff::/64 of up0", Last: controltest.Start}}
		o.ForeignRoutes = []api.ForeignRoute{
			{
				Destination: netip.MustParsePrefix("2001:db8:4000::/56"), Protocol: "static", Kind: "unicast", Device: "eth9", Gateway: netip.MustParseAddr("fe80::9"), Metric: 1024, Table: 254,
				Link: "br-cust7", Client: controltest.Alice, Prefix: netip.MustParsePrefix("2001:db8:4000::/56"),
			},
			{Destination: netip.MustParsePrefix("2001:db8:4600:7::/64"), Protocol: "bird", Kind: "blackhole", Metric: 32, Table: 254, Link: "br-cust7", Prefix: netip.MustParsePrefix("2001:db8:4600::/56")},
		}
		for i := range 18 {
			o.Spoofed = append(o.Spoofed, api.SpoofedOn{Link: fmt.Sprintf("vlan%02d", i), Packets: uint64(i + 1), Last: *f.LinkList[0].LastSpoofed})
		}
	case "empty":
		f.Live, f.Past, f.Blocked, f.LinkList, f.Of4, f.Served, f.Heard = nil, nil, nil, nil, api.Relay4{}, api.Server6{}, nil
	case "server":
		o := &f.Overview
		o.Roles, o.RelayID, o.RelayIDv4, o.Relay4, o.Peers = []string{"server6"}, "", "", nil, nil
		o.Server6 = &api.Server6Totals{Links: 1, Prefixes: 2, Addresses: 3, Received: 9, Sent: 9, Dropped: 1}
	case "broken":
		f.Fail = errors.New("relay: does not answer")
	case "protected":
		protect(f, controltest.IKEHop("kea1"))
	case "manual":
		protect(f, controltest.ManualHop("kea1", "192.0.2.1"))
	case "unprotected":
		up, down, unseen := controltest.IKEHop("kea1"), controltest.IKEHop("kea1+1"), f.PeerList[1]
		down.Protected, down.Problem, down.Algorithms, down.Age, down.DroppedOut = false, "no SA: the peer does not answer", "", 0, api.Traffic{Packets: 9}
		unseen.Protection, unseen.Protected = "ipsec", false
		f.PeerList[1], f.Overview.Peers[1] = unseen, unseen.Summary()
		protect(f, up, down)
	case "changes", "loss":
		held := api.LinkHoldings{Link: "br-cust7", Prefixes: 2, Addresses: 1}
		gone := api.LinkHoldings{Link: "ppp2", Prefixes: 1}
		f.Reloaded = api.ReloadResult{
			Peers: []api.PeerChange{{Peer: "kea2", Change: "added"}, {Peer: "kea3", Change: "removed"}},
			Links: []api.LinkChange{
				{Role: "relay6", LinkHoldings: held, Change: api.LinkChanged, Keys: []api.KeyChange{{Key: "limits.client", Old: "8", New: "1"}, {Key: "filter", Old: "link", New: "strict"}}},
				{Role: "relay6", LinkHoldings: api.LinkHoldings{Link: "ppp0"}, Change: api.LinkGained},
				{Role: "relay6", LinkHoldings: api.LinkHoldings{Link: "ppp1"}, Change: api.LinkLost},
				{Role: "relay4", LinkHoldings: api.LinkHoldings{Link: "ppp1"}, Change: api.LinkChanged, Keys: []api.KeyChange{{Key: "giaddr", Old: "auto", New: "192.0.2.1"}}},
				{Role: "relay6", LinkHoldings: gone, Change: api.LinkLost},
			},
			Settings: []string{"log", "hook"}, Unmatched: []api.LinkHoldings{gone}, Warnings: []string{"f.yaml:1:2: peers: a warning"},
		}
		if args[0] == "loss" {
			f.ReloadErr = &api.LossError{Links: []api.LinkHoldings{held}}
		}
	case "problems":
		f.ReloadErr = config.Problems{{File: "f.yaml", Line: 3, Column: 9, Path: "peers", Text: "missing"}, {File: "f.yaml", Line: 7, Column: 1, Text: "a tab"}}
	default:
		ts.Fatalf("no such relay: %s", args[0])
	}
}

// protect has kea1 require protection.
func protect(f *controltest.Fake, hops ...api.Hop) {
	p := &f.PeerList[0]
	p.Protection, p.Protected, p.Hops = "ipsec", true, hops
	for _, h := range hops {
		p.Protected = p.Protected && h.Protected
	}
	f.Overview.Peers[0] = p.Summary()
}

// guard changes the state of the guard: guard degraded|broken|problems
func guard(ts *testscript.TestScript, _ bool, args []string) {
	f := guardOf(ts)
	f.Mu.Lock()
	defer f.Mu.Unlock()
	switch args[0] {
	case "degraded":
		o := &f.Overview
		o.Peers[0].Protected, o.Peers[0].Hops[1].Protected = false, false
		o.Peers[0].Hops[1].Problem, o.Peers[0].Hops[1].DroppedAt = "policies are missing", "attic"
		o.Config.LastError = "guard.yaml:3:1: peers: missing"
		o.Programs = []api.Program{{PID: 812, Name: "dhcpd\x1b[2J", Problem: "reads packets below IP"}}
		o.Degraded = []string{"peer attic: not protected", "dhcpd: cannot be protected"}
	case "broken":
		f.Fail = errors.New("guard: does not answer")
	case "problems":
		f.ReloadErr = config.Problems{{File: "g.yaml", Line: 3, Column: 9, Path: "peers", Text: "missing"}}
	default:
		ts.Fatalf("no such guard: %s", args[0])
	}
}

// emit makes an event happen, for those who watch.
func emit(ts *testscript.TestScript, _ bool, args []string) {
	fake := fakeOf(ts)
	d := controltest.New().Live[0]
	e := api.Event{Time: controltest.Start, Kind: "delegation", Text: args[0], Link: d.Link, Client: d.Client, IAID: d.IAID.ID, Delegation: &d}
	switch args[0] {
	case "granted", "extended":
	case "moved":
		previous := controltest.New().Live[2]
		e.Previous = &previous
	case "ended":
		d.Valid, e.Reason = 0, "expired"
	case "refused":
		e.Reason = "limit-link"
	case "in-the-way":
		e.Text, e.Reason, e.Detail = "refused", "not-delegable", "covers 2001:db8:4000:ff::/64 of up0"
	case "link":
		e = api.Event{Time: controltest.Start, Kind: "link", Text: "link vanished", Link: "ppp0"}
	case "pool":
		pool := api.Server6Pool{
			Network: "2001:db8:1::/64", Subnet: netip.MustParsePrefix("2001:db8:1::/64"), First: netip.MustParseAddr("2001:db8:1::1000"), Last: netip.MustParseAddr("2001:db8:1::1fff"),
			Size: 4096, Taken: 3687, NearlyFull: true,
		}
		e = api.Event{Time: controltest.Start, Kind: "pool", Text: "pool is nearly full", Pool: &pool}
	case "store":
		e = api.Event{Time: controltest.Start, Kind: "store", Text: "not kept", Error: "store: commit: disk full"}
	case "lost":
		e = api.Event{Time: controltest.Start, Kind: api.EventLost, Lost: 17}
	case "trace":
		e = api.Event{
			Time: controltest.Start, Kind: "trace", Text: "forwarded", Link: "br-cust7", Peer: "kea1", Client: controltest.Alice,
			Type: "Solicit", XID: 0x00abcd, Reason: "fe80::1",
		}
	case "carries", "carries-status":
		e = api.Event{
			Time: controltest.Start, Kind: "trace", Text: "carries", Link: "br-cust7", Peer: "kea1", Client: controltest.Alice,
			Type: "Reply", XID: 0x00abcd, Reason: "fe80::1",
			Carries: &api.Carried{IA: "IA_PD", IAID: api.IAID{ID: 7, Known: true}, Prefix: d.Prefix, Preferred: api.Lifetime(30 * time.Minute), Valid: api.Lifetime(time.Hour)},
		}
		if args[0] == "carries-status" {
			e.Carries = &api.Carried{IA: "IA_NA", IAID: api.IAID{ID: 8, Known: true}, Status: "NoBinding"}
		}
	case "hostile":
		e = api.Event{
			Time: controltest.Start, Kind: api.EventProtection, Text: "negotiation failed", Peer: "kea1", Hop: "kea1",
			Reason: "CN=\x1b]0;gone\a\n2026-03-04 05:06:07  all is well",
		}
	case "lost-protection", "rekeyed":
		e = api.Event{Time: controltest.Start, Kind: api.EventProtection, Text: "protection lost", Peer: "kea1", Hop: "kea1+1", Reason: "no SA"}
		if args[0] == "rekeyed" {
			e.Text, e.Hop, e.Reason = "rekeyed", "kea1", ""
		}
	default:
		ts.Fatalf("nothing is called %s", args[0])
	}
	// The feed itself makes events of this kind; here all readers get it.
	fake.Feed.Offer(e)
	guardOf(ts).Feed.Offer(e)
}

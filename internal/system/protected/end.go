package protected

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/relay"
)

// Config says what an end is.
type Config struct {
	// Guards has it run "fairlead guard", beside somebody else's program, in place
	// of "fairlead run".
	Guards bool
	// Charon is added to the section charon of strongswan.conf.
	Charon string
	// Patience is how long the end may take for anything that is waited for.
	Patience time.Duration
}

// End is one host of a hop: a node, its strongSwan, and the fairlead that keeps
// the hop protected, be it the relay itself or a guard.
type End struct {
	T       *testing.T // that fails if the end does
	Node    *lab.Node
	Charon  *ike.Charon // nil where keys are made by hand
	Program *relay.Relay
	Relay6  string // more of the relay's section of that name, in YAML

	config Config
}

// pace is how often an end is asked: it looks at its hops once a second, and each
// question is work for an emulated machine.
const pace = 200 * time.Millisecond

// New prepares an end without starting anything.
func New(t *testing.T, d *lab.Node, c Config) *End {
	t.Helper()
	binary, err := os.Executable()
	need(t, err)
	e := &End{T: t, Node: d, config: c}
	name := "fairlead"
	if c.Guards {
		name = "guard"
	}
	e.Program, err = relay.New(d, relay.Config{Name: name, Guard: c.Guards, Binary: binary})
	need(t, err)
	return e
}

// need ends the test if there is an error.
func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Strongswan starts a charon at this end.
func (e *End) Strongswan() {
	e.T.Helper()
	var err error
	e.Charon, err = ike.Start(e.Node, ike.Config{Charon: e.config.Charon})
	need(e.T, err)
}

// Configure writes the configuration: peers in YAML, and for a relay the links,
// which are those whose names begin with d. One client there sends as fast as it
// is answered, which the usual limit of a source's rate would not let pass.
func (e *End) Configure(peers string) {
	e.T.Helper()
	text := "metrics:\n  listen: \"off\"\npeers:\n" + peers
	if e.Charon != nil {
		text += "ipsec:\n  vici-socket: " + e.Charon.Socket + "\n"
	}
	if !e.config.Guards {
		text += "relay6:\n" + e.Relay6 + "  links:\n    - match: \"d*\"\n      rate: {source: unlimited}\n"
	}
	need(e.T, e.Program.Write(text))
}

// Start starts the program and waits until it says that it is ready.
func (e *End) Start() {
	e.T.Helper()
	need(e.T, e.Program.Start())
}

// asking bounds one question to the program.
func (e *End) asking() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), e.config.Patience)
}

// Reload has the program take its configuration anew, and waits until it has.
func (e *End) Reload() {
	e.T.Helper()
	ctx, cancel := e.asking()
	defer cancel()
	if e.config.Guards {
		_, err := api.NewGuardClient(e.Program.Socket).Reload(ctx, api.ReloadRequest{})
		need(e.T, err)
		return
	}
	_, err := api.NewClient(e.Program.Socket).Reload(ctx, api.ReloadRequest{})
	need(e.T, err)
}

// Allow has a guard let messages of relays in that are not configured.
func (e *End) Allow() {
	e.T.Helper()
	text, err := os.ReadFile(e.Program.File)
	need(e.T, err)
	need(e.T, e.Program.Write(string(text)+"others: allow\n"))
	e.Reload()
}

// GuardStatus is what a guard says of itself.
func (e *End) GuardStatus() (api.GuardStatus, error) {
	ctx, cancel := e.asking()
	defer cancel()
	return api.NewGuardClient(e.Program.Socket).Status(ctx)
}

// Says is what "fairlead guard status" prints.
func (e *End) Says() string {
	e.T.Helper()
	out, err := e.Program.CLI("guard", "status")
	need(e.T, err)
	return out
}

// Strangers is how many relayed messages of nobody that is configured a guard has
// dropped.
func (e *End) Strangers() uint64 {
	e.T.Helper()
	status, err := e.GuardStatus()
	need(e.T, err)
	return status.Strangers.Packets
}

// Hops is what the program says of its hops, those of all peers.
func (e *End) Hops() (hops []api.Hop, err error) {
	if e.config.Guards {
		status, err := e.GuardStatus()
		for i := range status.Peers {
			hops = append(hops, status.Peers[i].Hops...)
		}
		return hops, err
	}
	ctx, cancel := e.asking()
	defer cancel()
	peers, err := api.NewClient(e.Program.Socket).Peers(ctx)
	for i := range peers {
		hops = append(hops, peers[i].Hops...)
	}
	return hops, err
}

// Becomes waits until something is true of the end's hops.
func (e *End) Becomes(what string, is func([]api.Hop) bool) []api.Hop {
	e.T.Helper()
	var hops []api.Hop
	var err error
	late := lab.Until(e.config.Patience, e.Node.Name+": "+what, func() bool {
		if hops, err = e.Hops(); err == nil && is(hops) {
			return true
		}
		time.Sleep(pace)
		return false
	})
	if late != nil {
		e.T.Fatalf("%v; its hops are %+v, %v", late, hops, err)
	}
	return hops
}

// BecomesProtected waits until all hops are protected.
func (e *End) BecomesProtected() []api.Hop {
	e.T.Helper()
	return e.Becomes("all hops are protected", func(hops []api.Hop) bool {
		for i := range hops {
			if !hops[i].Protected {
				return false
			}
		}
		return len(hops) > 0
	})
}

// Notices waits until one of the hops has, or has had since then, a problem with one
// of the texts in it. The log is asked, too: a hop's last error may give way to another
// between two looks.
func (e *End) Notices(since time.Time, texts ...string) {
	e.T.Helper()
	e.Becomes(fmt.Sprintf("one of %q is noticed", texts), func(hops []api.Hop) bool {
		for i := range hops {
			h := &hops[i]
			if contains(h.Problem, texts) || h.LastErrorAt.After(since) && contains(h.LastError, texts) {
				return true
			}
		}
		return e.logged(since, texts)
	})
}

func contains(what string, texts []string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(what, text) })
}

// logged reports whether this run of the program has told since then of a hop that
// is lost or cannot be negotiated, for a reason with one of the texts in it, or of the guard:
// that may be mended before its hops are looked at.
func (e *End) logged(since time.Time, texts []string) bool {
	for line := range strings.Lines(e.Program.Proc().Log()) {
		stamp, rest, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err == nil && at.After(since) && contains(rest, texts) &&
			(strings.Contains(rest, "peer not protected") || strings.Contains(rest, "protection not negotiated") ||
				strings.Contains(rest, "guard table changed by somebody else")) {
			return true
		}
	}
	return false
}

// XFRM is one of the kernel's counters at the end: XfrmInStateSeqError and the like.
func (e *End) XFRM(name string) int {
	e.T.Helper()
	out, err := e.Node.Run("cat", "/proc/net/xfrm_stat")
	need(e.T, err)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			n, err := strconv.Atoi(f[1])
			need(e.T, err)
			return n
		}
	}
	e.T.Fatalf("no counter %s in %s", name, out)
	return 0
}

// Table is the name of the end's guard table.
func (e *End) Table() string {
	if e.config.Guards {
		return "fairlead-guard-guard"
	}
	return "fairlead-relay-guard"
}

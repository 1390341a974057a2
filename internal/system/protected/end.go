package protected

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

// Config describes an end.
type Config struct {
	// Guards makes it run "fairlead guard", beside a program of others, in place of "fairlead
	// run".
	Guards bool
	// Charon is added to the section charon of strongswan.conf.
	Charon string
}

// End is one host of a hop: a node, its strongSwan, and the fairlead that keeps the hop
// protected, which is either the relay itself or a guard.
type End struct {
	*rig.Host
	Charon  *ike.Charon // nil if the keys are manual
	Program *rig.Program
	Section string // the relay's section without its links, in YAML; "relay6:\n" at first
	Keys    string // further keys of its links, in YAML

	config Config
}

// pace is how often an end is asked. It looks at its hops once a second, and each question is
// work for an emulated machine.
const pace = 200 * time.Millisecond

// New prepares an end without starting anything.
func New(h *rig.Host, c Config) *End {
	h.Net.T.Helper()
	name := "fairlead"
	if c.Guards {
		name = "guard"
	}
	return &End{Host: h, Program: h.Fairlead(relay.Config{Name: name, Guard: c.Guards}), Section: "relay6:\n", config: c}
}

// Strongswan starts a charon at this end.
func (e *End) Strongswan() {
	e.Net.T.Helper()
	var err error
	e.Charon, err = ike.Start(e.Node, ike.Config{Charon: e.config.Charon})
	e.Net.Need(err)
}

// Configure writes the configuration: peers in YAML and, for a relay, the links, which are those
// whose names begin with d. One client there sends as fast as it is answered, which the default
// limit on a source's rate would not allow.
func (e *End) Configure(peers string) {
	e.Net.T.Helper()
	text := "metrics:\n  listen: \"off\"\npeers:\n" + peers
	if e.Charon != nil {
		text += "ipsec:\n  vici-socket: " + e.Charon.Socket + "\n"
	}
	if !e.config.Guards {
		text += e.Section + "  links:\n    - match: \"d*\"\n      rate: {source: unlimited}\n" + e.Keys
	}
	e.Program.Write(text)
}

// Start starts the program and waits until it says that it is ready.
func (e *End) Start() {
	e.Net.T.Helper()
	e.Program.Start()
}

// asking returns a context that bounds one question to the program.
func (e *End) asking() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), labtest.Patience)
}

// Reload makes the program read its configuration file again, and waits until it has.
func (e *End) Reload() {
	e.Net.T.Helper()
	ctx, cancel := e.asking()
	defer cancel()
	if e.config.Guards {
		_, err := api.NewGuardClient(e.Program.Socket).Reload(ctx, api.ReloadRequest{})
		e.Net.Need(err)
		return
	}
	_, err := api.NewClient(e.Program.Socket).Reload(ctx, api.ReloadRequest{})
	e.Net.Need(err)
}

// Allow makes a guard let in messages of relays that are not configured.
func (e *End) Allow() {
	e.Net.T.Helper()
	e.Program.Write(e.Program.Text() + "others: allow\n")
	e.Reload()
}

// GuardStatus returns what a guard reports about itself.
func (e *End) GuardStatus() (api.GuardStatus, error) {
	ctx, cancel := e.asking()
	defer cancel()
	return api.NewGuardClient(e.Program.Socket).GuardStatus(ctx)
}

// Says returns what "fairlead guard status" prints.
func (e *End) Says() string {
	e.Net.T.Helper()
	return e.Program.CLI("guard", "status")
}

// Strangers returns how many relayed messages of strangers a guard has dropped.
func (e *End) Strangers() uint64 {
	e.Net.T.Helper()
	status, err := e.GuardStatus()
	e.Net.Need(err)
	return status.Strangers.Packets
}

// Hops returns what the program reports about its hops, those of all peers.
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
	e.Net.T.Helper()
	var hops []api.Hop
	var err error
	late := lab.Until(labtest.Patience, e.Node.Name+": "+what, func() bool {
		if hops, err = e.Hops(); err == nil && is(hops) {
			return true
		}
		time.Sleep(pace)
		return false
	})
	if late != nil {
		e.Net.T.Fatalf("%v; its hops are %+v, %v", late, hops, err)
	}
	return hops
}

// BecomesProtected waits until all hops are protected.
func (e *End) BecomesProtected() []api.Hop {
	e.Net.T.Helper()
	return e.Becomes("all hops are protected", func(hops []api.Hop) bool {
		for i := range hops {
			if !hops[i].Protected {
				return false
			}
		}
		return len(hops) > 0
	})
}

// Notices waits until one of the hops has, or has had since then, a problem that contains one of
// the texts. It also reads the log: a hop's last error may be replaced by another between two
// looks.
func (e *End) Notices(since time.Time, texts ...string) {
	e.Net.T.Helper()
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

// logged reports whether this run of the program has reported since then that a hop was lost, set
// up anew or could not be negotiated, for a reason that contains one of the texts, or has
// reported the loss of a barrier. All of these may be repaired before the hops are looked at.
func (e *End) logged(since time.Time, texts []string) bool {
	for line := range strings.Lines(e.Program.Log()) {
		stamp, rest, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err == nil && at.After(since) && contains(rest, texts) &&
			(strings.Contains(rest, "peer not protected") || strings.Contains(rest, "protection not negotiated") ||
				strings.Contains(rest, "protection set up anew") || strings.Contains(rest, "changed by somebody else: installed again")) {
			return true
		}
	}
	return false
}

// XFRM returns one of the kernel's counters at the end, such as XfrmInStateSeqError.
func (e *End) XFRM(name string) int {
	e.Net.T.Helper()
	out := e.Run("cat", "/proc/net/xfrm_stat")
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			n, err := strconv.Atoi(f[1])
			e.Net.Need(err)
			return n
		}
	}
	e.Net.T.Fatalf("no counter %s in %s", name, out)
	return 0
}

// Table returns the name of the end's guard table.
func (e *End) Table() string {
	if e.config.Guards {
		return "fairlead-guard-guard"
	}
	return "fairlead-relay-guard"
}

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/process"
	"fairlead/internal/app/protect"
	"fairlead/internal/app/role"
)

// member is a player that says what a test has it say.
type member struct {
	role.Player
	count    func(*api.Counters) error
	judge    func(*api.Status, *api.Counters) error
	prospect func(*api.ReloadResult) (map[string]int, error)
}

func (m *member) Count(_ context.Context, c *api.Counters) error { return m.count(c) }

func (m *member) Judge(_ context.Context, s *api.Status, c *api.Counters) error {
	return m.judge(s, c)
}

func (m *member) Prospect(_ context.Context, _ *config.Config, r *api.ReloadResult) (map[string]int, error) {
	return m.prospect(r)
}

// withMembers is a process that plays these roles. It has neither a store nor sockets.
func withMembers(members map[string]*member) *daemon {
	quiet := slog.New(slog.DiscardHandler)
	d := &daemon{
		Program: Program{Beside: true}, players: make(map[string]role.Player), cfg: config.Default(),
		House:   &role.House{Process: &process.Process{Feed: control.NewFeed()}, Told: quiet, Hops: new(protect.Supervisor)},
		scrapes: metrics.Listen(config.Metrics{}, nil, quiet),
	}
	for name, m := range members {
		d.players[name] = m
	}
	return d
}

// The status is one of all roles, in the order of their names, after what is the process's
// own; and each role judges by the figures of all.
func TestStatusOfAllRoles(t *testing.T) {
	counted := func(links int) func(*api.Counters) error {
		return func(c *api.Counters) error {
			c.Totals.Links += links
			c.Peers = append(c.Peers, api.Peer{PeerProtection: api.PeerProtection{Name: "kea"}})
			return nil
		}
	}
	judged := func(words string) func(*api.Status, *api.Counters) error {
		return func(s *api.Status, c *api.Counters) error {
			if c.Totals.Links != 5 {
				t.Errorf("%s judges by %d links, want those of both roles", words, c.Totals.Links)
			}
			s.Degraded = append(s.Degraded, words)
			return nil
		}
	}
	d := withMembers(map[string]*member{
		"b": {count: counted(2), judge: judged("b is unwell")},
		"a": {count: counted(3), judge: judged("a is unwell")},
	})
	d.unwritten = []string{"the folder is read-only"}
	s, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"the folder is read-only", "a is unwell", "b is unwell"}; !slices.Equal(s.Degraded, want) {
		t.Errorf("degraded: %q, want %q", s.Degraded, want)
	}
	if s.Totals.Links != 5 || len(s.Peers) != 2 || s.Peers[0].Name != "kea" {
		t.Errorf("the status has %d links and the peers %v", s.Totals.Links, s.Peers)
	}
	c, err := d.Counters(t.Context())
	if err != nil || c.Degraded != 3 {
		t.Errorf("the figures count %d things that are wrong, want 3: %v", c.Degraded, err)
	}
	if why, err := d.reasons(t.Context()); err != nil || !slices.Equal(why, s.Degraded) {
		t.Errorf("reasons: %q, %v", why, err)
	}
}

// A role that does not answer leaves no half status, and no half figures.
func TestStatusFailsWithARole(t *testing.T) {
	silent := errors.New("the program is ending")
	well := &member{count: func(*api.Counters) error { return nil }, judge: func(*api.Status, *api.Counters) error { return nil }}
	for what, ill := range map[string]*member{
		"count": {count: func(*api.Counters) error { return silent }, judge: well.judge},
		"judge": {count: well.count, judge: func(*api.Status, *api.Counters) error { return silent }},
	} {
		d := withMembers(map[string]*member{"a": well, "b": ill})
		if _, err := d.Status(t.Context()); !errors.Is(err, silent) {
			t.Errorf("%s fails, and Status says %v", what, err)
		}
		if _, err := d.Counters(t.Context()); !errors.Is(err, silent) {
			t.Errorf("%s fails, and Counters says %v", what, err)
		}
	}
}

// What is the process's own and does not work as it should is told: a reload that was
// refused, until one is taken, and metrics that cannot be served.
func TestStatusOfTheProcess(t *testing.T) {
	d := withMembers(nil)
	if len(d.wrong()) != 0 {
		t.Fatalf("wrong from the start: %q", d.wrong())
	}
	var err error
	d.Load = func(string) (*config.Config, error) { return nil, errors.New("nothing in it") }
	if _, err = d.Reload(t.Context(), api.ReloadRequest{}, "a test"); err == nil {
		t.Error("a file that cannot be read was taken")
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	d.scrapes = metrics.Listen(config.Metrics{Listen: netip.MustParseAddrPort(busy.Addr().String())}, nil, d.Told)
	if got := d.wrong(); len(got) != 2 || got[0] != "configuration: the last reload was refused" || !strings.HasPrefix(got[1], "metrics: ") {
		t.Errorf("got %q, want the reload and the metrics", got)
	}
}

// A link that floods is named, also where it has just gone.
func TestFloodingNamesTheLink(t *testing.T) {
	if got := flooding(1, 7); !strings.HasPrefix(got, "link lo: floods") || !strings.Contains(got, "dropped 7 messages") {
		t.Errorf("of the first interface: %q", got)
	}
	if got := flooding(1<<30, 7); !strings.HasPrefix(got, "link with index 1073741824: floods") {
		t.Errorf("of no interface: %q", got)
	}
}

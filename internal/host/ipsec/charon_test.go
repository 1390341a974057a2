package ipsec_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/ipsec"
	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/labtest"
)

// These tests speak to strongSwan as Debian packages it. The kernel may have no ESP: then
// connections are loaded and IKE SAs are made all the same, and ESP SAs are not.

var need = labtest.Need

// rig is two hosts, each with a charon, and the Strongswan of one of them.
type rig struct {
	t    *testing.T
	a, b *ike.Charon
	s    *ipsec.Strongswan
}

func newRig(t *testing.T) *rig {
	t.Helper()
	labtest.Parallel(t)
	a, b := labtest.Pair(t, "a", "a0", "b", "b0")
	need(t, a.Address("a0", "2001:db8::1/64"))
	need(t, b.Address("b0", "2001:db8::2/64"))
	for d, address := range map[*lab.Node]string{a: "192.0.2.1/24 dev a0", b: "192.0.2.2/24 dev b0"} {
		_, err := d.IP("addr add %s", address)
		need(t, err)
	}
	r := &rig{t: t}
	config := ike.Config{Charon: "retransmit_timeout = 1.0\nretransmit_tries = 2"}
	var err error
	r.a, err = ike.Start(a, config)
	need(t, err)
	r.b, err = ike.Start(b, config)
	need(t, err)
	r.s = r.open(r.a, hop.OwnerRelay)
	return r
}

func (r *rig) open(c *ike.Charon, owner hop.Owner) *ipsec.Strongswan {
	s := ipsec.Open(ipsec.Options{Socket: c.Socket, Owner: owner, Limit: labtest.Patience})
	r.t.Cleanup(s.Close)
	return s
}

func (r *rig) swanctl(c *ike.Charon, args ...string) string {
	r.t.Helper()
	out, err := c.Swanctl(args...)
	need(r.t, err)
	return out
}

// listed are the connections that swanctl lists, in order.
func (r *rig) listed(c *ike.Charon) (names []string) {
	r.t.Helper()
	for line := range strings.Lines(r.swanctl(c, "--list-conns")) {
		if name, _, is := strings.Cut(line, ": IKEv2"); is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *rig) wantListed(c *ike.Charon, want ...string) {
	r.t.Helper()
	if got := r.listed(c); !slices.Equal(got, want) {
		r.t.Errorf("charon has connections %q, want %q", got, want)
	}
}

func (r *rig) observe(s *ipsec.Strongswan) hop.Charon {
	r.t.Helper()
	seen, err := s.Observe(r.t.Context())
	need(r.t, err)
	return seen
}

func (r *rig) wantSeen(s *ipsec.Strongswan, want ...string) {
	r.t.Helper()
	if got := r.observe(s).Connections; !slices.Equal(got, want) {
		r.t.Errorf("observed connections %q, want %q", got, want)
	}
}

// keyed is a hop with a pre-shared key.
func keyed(name, local, remote, key string) hop.Hop {
	return hop.Hop{
		Name: name, Peer: name, Role: trust.Server,
		Local: netip.MustParseAddr(local), Remote: netip.MustParseAddr(remote),
		IKE: &hop.IKE{PSK: hop.Secret(key)},
	}
}

// turned is the hop as the other end configures it.
func turned(h hop.Hop) hop.Hop {
	h.Local, h.Remote, h.Role = h.Remote, h.Local, trust.Relay
	return h
}

var (
	six  = keyed("srv.six", "2001:db8::1", "2001:db8::2", "one key for one pair of hosts")
	four = keyed("srv4", "192.0.2.1", "192.0.2.2", "another key for another pair")
)

const foreign = `connections {
	theirs {
		version = 2
		local_addrs = 192.0.2.1
		remote_addrs = 192.0.2.7
		local {
			auth = psk
		}
		remote {
			auth = psk
		}
		children {
			net {
				mode = transport
				start_action = trap
			}
		}
	}
}
secrets {
	ike-theirs {
		id = 192.0.2.7
		secret = "the key of another administrator"
	}
}
`

// Exactly the hops that are asked for are loaded. A connection and a key of another administrator
// stay as they were.
func TestLoad(t *testing.T) {
	r := newRig(t)
	need(t, r.a.Load(foreign))
	theirs := r.swanctl(r.a, "--list-conns")
	need(t, r.s.Load(t.Context(), []hop.Hop{six, four}))
	r.wantListed(r.a, "fairlead-relay-srv4", "fairlead-relay-srv~six", "theirs")
	r.wantSeen(r.s, "srv4", "srv.six")
	need(t, r.s.Load(t.Context(), []hop.Hop{four}))
	r.wantListed(r.a, "fairlead-relay-srv4", "theirs")
	r.wantSeen(r.s, "srv4")
	need(t, r.s.Unload(t.Context()))
	if got := r.swanctl(r.a, "--list-conns"); got != theirs {
		t.Errorf("connections were\n%s\nand are\n%s", theirs, got)
	}
	r.wantKeys(r.a, "ike-theirs")
}

// wantKeys are the names of the shared keys that charon has.
func (r *rig) wantKeys(c *ike.Charon, want ...string) {
	r.t.Helper()
	got := sharedKeys(r.t, c)
	if !slices.Equal(got, want) {
		r.t.Errorf("charon has keys %q, want %q", got, want)
	}
}

// A relay and a guard on one host each have their own connections and keys.
func TestTwoOwners(t *testing.T) {
	r := newRig(t)
	guard := r.open(r.a, hop.OwnerGuard)
	need(t, r.s.Load(t.Context(), []hop.Hop{six}))
	need(t, guard.Load(t.Context(), []hop.Hop{four}))
	r.wantListed(r.a, "fairlead-guard-srv4", "fairlead-relay-srv~six")
	r.wantSeen(guard, "srv4")
	need(t, r.s.Unload(t.Context()))
	r.wantListed(r.a, "fairlead-guard-srv4")
	r.wantKeys(r.a, "fairlead-guard-srv4")
}

// A charon that was killed is noticed. The next one is given everything that it needs, by the
// same Strongswan.
func TestCharonRestarts(t *testing.T) {
	r := newRig(t)
	need(t, r.s.Load(t.Context(), []hop.Hop{six}))
	need(t, r.a.Kill())
	if _, err := r.s.Observe(t.Context()); err == nil {
		t.Fatal("a charon that was killed is observed")
	} else if isRefusal(err) {
		t.Fatalf("a charon that was killed refuses: %v", err)
	}
	need(t, r.a.Start())
	r.wantSeen(r.s)
	need(t, r.s.Load(t.Context(), []hop.Hop{six}))
	r.wantSeen(r.s, "srv.six")
	r.wantListed(r.a, "fairlead-relay-srv~six")
}

// Another administrator's program may unload all of ours, or a part.
func TestTakenAway(t *testing.T) {
	r := newRig(t)
	need(t, r.s.Load(t.Context(), []hop.Hop{six, four}))
	r.wantSeen(r.s, "srv4", "srv.six")
	need(t, r.a.Load(foreign)) // swanctl unloads everything that is not in its file
	r.wantSeen(r.s)
	need(t, r.s.Load(t.Context(), []hop.Hop{six, four}))
	r.wantSeen(r.s, "srv4", "srv.six")
	r.wantListed(r.a, "fairlead-relay-srv4", "fairlead-relay-srv~six", "theirs")
	r.swanctl(r.a, "--load-creds", "--noprompt")
	r.wantListed(r.a, "fairlead-relay-srv4", "fairlead-relay-srv~six", "theirs")
	r.wantSeen(r.s)
	need(t, r.s.Load(t.Context(), []hop.Hop{six, four}))
	r.wantSeen(r.s, "srv4", "srv.six")
	r.wantKeys(r.a, "fairlead-relay-srv4", "fairlead-relay-srv~six", "ike-theirs")
}

func isRefusal(err error) bool {
	var refusal *ipsec.Refusal
	return errors.As(err, &refusal)
}

// A hop that strongSwan refuses is named in the error, and the other hops are loaded.
func TestRefusedHop(t *testing.T) {
	r := newRig(t)
	odd := keyed("odd", "192.0.2.1", "192.0.2.9", "some key for that one")
	odd.IKE.Proposals = []string{"rot13-x25519"}
	err := r.s.Load(t.Context(), []hop.Hop{odd, six})
	var refusal *ipsec.Refusal
	if !errors.As(err, &refusal) || refusal.Command != "load-conn" || !strings.Contains(refusal.Text, "proposals") {
		t.Fatalf("a cipher that nobody knows: %v", err)
	}
	if !strings.Contains(err.Error(), "hop odd: ") {
		t.Errorf("the error names no hop: %v", err)
	}
	r.wantSeen(r.s, "srv.six")
	// The connection that was loaded before does not count as the new one.
	odd.IKE.Proposals = nil
	need(t, r.s.Load(t.Context(), []hop.Hop{odd, six}))
	r.wantSeen(r.s, "odd", "srv.six")
	odd.IKE.Proposals = []string{"rot13-x25519"}
	if err := r.s.Load(t.Context(), []hop.Hop{odd, six}); !isRefusal(err) {
		t.Errorf("refused the second time: %v", err)
	}
	r.wantSeen(r.s, "srv.six")
}

// established waits for an IKE SA of a hop.
func (r *rig) established(s *ipsec.Strongswan, name string) (found hop.IKESA) {
	r.t.Helper()
	labtest.Until(r.t, "an IKE SA of "+name, func() bool {
		for _, sa := range r.observe(s).IKE {
			if sa.Hop == name && sa.Established {
				found = sa
			}
		}
		return found.ID != 0
	})
	return found
}

// An SA stays when its connection is loaded again unchanged. It ends when the connection changes
// or is no longer wanted. A new process finds the SA, and keeps it if it knows that nothing has
// changed.
func TestSAs(t *testing.T) {
	r := newRig(t)
	other := r.open(r.b, hop.OwnerGuard)
	six := edition(six, "1")
	need(t, other.Load(t.Context(), []hop.Hop{turned(six)}))
	need(t, r.s.Load(t.Context(), []hop.Hop{six, four}))
	_ = r.s.Initiate(t.Context(), &six, "dhcp") // the kernel may have no ESP
	sa := r.established(r.s, "srv.six")

	successor := r.open(r.a, hop.OwnerRelay)
	r.wantSeen(successor)
	need(t, successor.Load(t.Context(), []hop.Hop{six, four}))
	if again := r.established(successor, "srv.six"); again.ID != sa.ID {
		t.Errorf("loading the same again made SA %d out of %d", again.ID, sa.ID)
	}
	changed := six
	changed.IKE = &hop.IKE{PSK: hop.Secret("a new key for the pair of hosts")}
	need(t, successor.Load(t.Context(), []hop.Hop{changed, four}))
	for _, left := range r.observe(successor).IKE {
		if left.ID == sa.ID {
			t.Errorf("SA %d outlives its key", left.ID)
		}
	}
	need(t, other.Load(t.Context(), []hop.Hop{turned(changed)}))
	_ = successor.Initiate(t.Context(), &six, "dhcp")
	r.established(successor, "srv.six")
	need(t, successor.Load(t.Context(), []hop.Hop{four}))
	if left := r.observe(successor).IKE; len(left) != 0 {
		t.Errorf("SAs of a hop that is gone: %+v", left)
	}
}

// edition is a hop whose pre-shared key has this edition.
func edition(h hop.Hop, name string) hop.Hop {
	ike := *h.IKE
	ike.Edition, h.IKE = name, &ike
	return h
}

// The SAs that an earlier process made with another key end when a new process starts, or cannot
// tell whether the key is another one. That holds also where the earlier process was interrupted,
// and where its key comes back. Names in charon tell nothing about the key.
func TestKeyChangesWhileNobodyRuns(t *testing.T) {
	r := newRig(t)
	other := r.open(r.b, hop.OwnerGuard)
	asked := func(h hop.Hop) hop.IKESA {
		t.Helper()
		need(t, other.Load(t.Context(), []hop.Hop{turned(h)}))
		need(t, r.open(r.a, hop.OwnerRelay).Load(t.Context(), []hop.Hop{h}))
		_ = r.s.Initiate(t.Context(), &h, "dhcp")
		return r.established(r.s, "srv.six")
	}
	outlives := func(what string, sa hop.IKESA, next hop.Hop, want bool) {
		t.Helper()
		need(t, r.open(r.a, hop.OwnerRelay).Load(t.Context(), []hop.Hop{next}))
		left := slices.ContainsFunc(r.observe(r.s).IKE, func(s hop.IKESA) bool { return s.ID == sa.ID })
		if left != want {
			t.Errorf("%s: the SA is there: %v", what, left)
		}
	}
	first, second := edition(six, "1"), edition(six, "2")
	second.IKE.PSK = hop.Secret("a new key for the pair of hosts")
	outlives("the same key", asked(first), first, true)
	outlives("another key", asked(first), second, false)
	sa := asked(second)
	names := sharedKeys(t, r.a)
	if len(names) != 2 || !strings.HasPrefix(names[1], "fairlead-relay-~made~srv~six~") {
		t.Fatalf("names of shared keys: %q", names)
	}
	same := second
	same.IKE = &hop.IKE{PSK: hop.Secret("this is not in the name"), Edition: "2"}
	need(t, r.open(r.a, hop.OwnerRelay).Load(t.Context(), []hop.Hop{same}))
	if again := sharedKeys(t, r.a); !slices.Equal(again, names) {
		t.Errorf("another key makes other names: %q and %q", names, again)
	}
	outlives("an unknown key", sa, six, false)
	sa = asked(first)
	second.IKE.Proposals = []string{"rot13-x25519"}
	if err := r.open(r.a, hop.OwnerRelay).Load(t.Context(), []hop.Hop{second}); !isRefusal(err) {
		t.Fatalf("a cipher that nobody knows: %v", err)
	}
	outlives("the first key again, after another that did not come far", sa, first, false)
}

// heard waits for an event that satisfies a condition. Nobody tells when charon hears its first
// listener, so the cause of the event is repeated.
func heard(t *testing.T, events <-chan hop.Event, what string, provoke func(), is func(hop.Event) bool) {
	t.Helper()
	deadline := time.After(labtest.Patience)
	again := time.NewTicker(2 * time.Second)
	defer again.Stop()
	var others []hop.Event
	for provoke(); ; {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("%s: events have ended", what)
			}
			if is(e) {
				return
			}
			others = append(others, e)
		case <-again.C:
			provoke()
		case <-deadline:
			t.Fatalf("%s: never heard; others were %+v", what, others)
		}
	}
}

func failed(name, text string) func(hop.Event) bool {
	return func(e hop.Event) bool {
		return e.Kind == hop.EventFailed && e.Hop == name && strings.Contains(e.Text, text)
	}
}

// Both ends are told why a negotiation failed, in strongSwan's words.
func TestFailures(t *testing.T) {
	wrong := keyed("srv.six", "2001:db8::1", "2001:db8::2", "not the key of that pair of hosts")
	strict := turned(six)
	strict.IKE = &hop.IKE{PSK: six.IKE.PSK, Proposals: []string{"aes256-sha512-ecp521"}}
	weak := six
	weak.IKE = &hop.IKE{PSK: six.IKE.PSK, Proposals: []string{"aes128-sha256-modp3072"}}
	elsewhere := six
	elsewhere.IKE = &hop.IKE{PSK: six.IKE.PSK, LocalID: "someone-else"}
	for _, c := range []struct {
		name         string
		ours, theirs hop.Hop
		here, there  string
	}{
		{"key", wrong, turned(six), "AUTHENTICATION_FAILED", "MAC mismatched"},
		{"proposals", weak, strict, "NO_PROPOSAL_CHOSEN", "received proposals unacceptable"},
		{"identity", elsewhere, turned(six), "AUTHENTICATION_FAILED", "no matching peer config found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			other := r.open(r.b, hop.OwnerGuard)
			need(t, other.Load(t.Context(), []hop.Hop{c.theirs}))
			need(t, r.s.Load(t.Context(), []hop.Hop{c.ours}))
			here, there := r.s.Events(t.Context()), other.Events(t.Context())
			begin := func() { _ = r.s.Initiate(t.Context(), &c.ours, "dhcp") }
			heard(t, here, "the initiator", begin, failed("srv.six", c.here))
			heard(t, there, "the responder", begin, failed("srv.six", c.there))
		})
	}
}

// Events come from a new charon too. The channel closes when ctx ends.
func TestEventsOutliveCharon(t *testing.T) {
	r := newRig(t)
	other := r.open(r.b, hop.OwnerGuard)
	need(t, other.Load(t.Context(), []hop.Hop{turned(six)}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := r.s.Events(ctx)
	need(t, r.a.Kill())
	need(t, r.a.Start())
	need(t, r.s.Load(t.Context(), []hop.Hop{six}))
	both := func() {
		_ = r.s.Initiate(t.Context(), &six, "dhcp")
		r.established(r.s, "srv.six")
		seen, err := r.s.Observe(t.Context())
		need(t, err)
		for _, sa := range seen.IKE {
			need(t, r.s.Terminate(t.Context(), sa.ID))
		}
	}
	for kind, what := range map[hop.EventKind]string{hop.EventIKEUp: "IKE SA up", hop.EventIKEDown: "IKE SA down"} {
		heard(t, events, what, both, func(e hop.Event) bool { return e.Kind == kind && e.Hop == "srv.six" })
	}
	cancel()
	for range events { //nolint:revive // until it is closed
	}
}

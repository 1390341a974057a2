package traffic_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// G-8: "The delegating relay MUST update the lease lifetimes based on the
// client's reply messages it forwards to the client and only expire the
// delegated prefixes when the valid lifetime has elapsed."
func TestRFC8987_G8_ExpiresWhenTheValidLifetimeHasElapsed(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	// A preferred lifetime that has elapsed ends nothing, nor does the end of
	// another prefix meanwhile.
	untilSeen(t, 4, func(within netip.Prefix, valid dhcp6.Lifetime) bool {
		p, other := part(within, 0), part(within, 1)
		r.grant(1, dhcp6.IAPrefix{Prefix: p, Preferred: 1, Valid: valid}, lasting(other, valid/2))
		begin := time.Now()
		r.obtain(c, 1)
		r.ends(other, valid/2)
		seen := len(r.RouteOf(p)) > 0
		if lives(begin, valid) && !seen {
			t.Errorf("the route is gone before the valid lifetime of %d s has elapsed", valid)
		}
		r.ends(p, valid)
		if lives(begin, valid) {
			t.Errorf("the route was gone after %v, before the valid lifetime of %d s", time.Since(begin), valid)
		}
		return seen
	})
}

// G-8: every kind of message that brings a Reply extends: Renew, Rebind, and a
// Request for the same again. What the Reply does not name keeps its own time.
func TestRFC8987_G8_EveryReplyExtends(t *testing.T) {
	for _, mt := range []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind, dhcp6.Request} {
		t.Run(mt.String(), func(t *testing.T) {
			parallel(t)
			r := start(t, lab.Plan{Clients: 1})
			c := r.client(1)
			untilSeen(t, 3, func(within netip.Prefix, valid dhcp6.Lifetime) bool {
				extended, left := part(within, 0), part(within, 1)
				r.grant(1, lasting(extended, valid), lasting(left, valid))
				begin := time.Now()
				r.obtain(c, 1)
				r.grant(1, long(extended))
				options := script.IAPD(1, lasting(extended, 0))
				if mt != dhcp6.Rebind {
					options = append(script.ServerID(script.DefaultServerDUID), options...)
				}
				_, err := c.Exchange(patience, c.Message(mt, options))
				need(t, err)
				// As long as this one has its route, the other, which was given with it, has not
				// ended before it was extended.
				seen := len(r.RouteOf(left)) > 0
				if lives(begin, valid) && !seen {
					t.Errorf("what the Reply does not name is gone before its valid lifetime of %d s has elapsed", valid)
				}
				r.ends(left, valid)
				r.wantRoute(extended, 1)
				return seen
			})
		})
	}
}

// G-8: a lifetime that a Reply makes shorter is shorter.
func TestRFC8987_G8_ReplyShortens(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	p, stays := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	r.grant(1, long(p), long(stays))
	c := r.client(1)
	reply := r.obtain(c, 1)
	r.grant(1, lasting(p, 2), long(stays))
	r.renew(c, reply)
	r.WantNoRoute(p)
	r.wantRoute(stays, 1)
}

// G-8: valid lifetime 0 ends a delegation at once, and 0xffffffff never does,
// across a restart either.
func TestRFC8987_G8_ZeroAndInfinity(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	zero, ever := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	r.grant(1, long(zero), lasting(ever, dhcp6.Infinity))
	c := r.client(1)
	reply := r.obtain(c, 1)
	if diff := cmp.Diff(texts(zero, ever), r.Routed()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	r.grant(1, lasting(zero, 0), lasting(ever, dhcp6.Infinity))
	r.renew(c, reply)
	if diff := cmp.Diff(texts(ever), r.Routed()); diff != "" {
		t.Errorf("routes after the Renew (-want +got):\n%s", diff)
	}
	need(t, r.relay.Kill())
	need(t, r.relay.Start())
	r.wantRoute(ever, 1)
	for _, d := range r.delegations() {
		if d.Valid != "infinite" {
			t.Errorf("%s: valid %v, want infinite", d.Prefix, d.Valid)
		}
	}
}

// G-8: the lifetimes of an address say nothing of a prefix beside it, and a
// Reply by rapid commit counts.
func TestRFC8987_G8_AddressesAndRapidCommit(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	p := pfx("2001:db8:1100::/56")
	answers := r.book.answers()
	answers.Addresses = func(script.Request, dhcp6.IA) []dhcp6.IAAddr {
		return []dhcp6.IAAddr{{Address: netip.MustParseAddr("2001:db8:1::55"), Preferred: 1, Valid: 1}}
	}
	r.server.Become(answers.Answer)
	r.grant(1, lasting(p, 4))
	begin := time.Now()
	c := r.client(1)
	na, mark := dhcp6.BeginIA(nil, dhcp6.OptionIANA, 1, 0, 0)
	na, err := dhcp6.EndOption(na, mark)
	need(t, err)
	reply, err := c.Exchange(patience, c.Message(dhcp6.Solicit, raw(dhcp6.OptionRapidCommit), na, script.IAPD(1), na))
	need(t, err)
	if reply.Type() != dhcp6.Reply {
		t.Fatalf("the answer to the Solicit is a %v, want a Reply", reply.Type())
	}
	r.WantNoRoute(p)
	if lasted := time.Since(begin); lasted < 4*time.Second {
		t.Errorf("the route was gone after %v, before the prefix's own 4 s", lasted)
	}
	var past []struct {
		Reason string `json:"reason"`
	}
	r.cli(&past, "history", "--prefix", p.String())
	if len(past) != 1 || past[0].Reason != "expired" {
		t.Errorf("history of %s: %+v, want that it has expired", p, past)
	}
}

// G-8: what a Reply does not say ends nothing: no IA_PD, an IA_PD with a status
// alone, a status for the whole message.
func TestRFC8987_G8_SilenceEndsNothing(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	p := pfx("2001:db8:1100::/56")
	c, reply := r.delegate(1, p)
	r.wantRoute(p, 1)
	r.grant(1) // NoPrefixAvail
	r.renew(c, reply)
	for _, options := range [][]byte{
		nil,
		raw(dhcp6.OptionStatusCode, 0, 3),
		script.IAPD(1),
		raw(dhcp6.OptionIAPD, 0, 0, 0, 1, 0, 0), // too short to be one
	} {
		r.server.Become(func(q script.Request) [][]byte {
			b := dhcp6.AppendMessageHeader(nil, dhcp6.Reply, q.Message.TransactionID())
			return [][]byte{q.Wrap(join(b, raw(dhcp6.OptionClientID, duid(1)...), script.ServerID(script.DefaultServerDUID), options))}
		})
		r.renew(c, reply)
	}
	r.wantRoute(p, 1)
}

// G-8 with programs by others: Kea's leases are renewed by dhcpcd and extended; one
// whose client has crashed is not, and runs down.
func TestRFC8987_G8_KeaAndDhcpcdRenew(t *testing.T) {
	parallel(t)
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 2})
	need(t, err)
	r := buildOn(t, top, standard(top))
	need(t, r.server.Close())
	often := peer.Timers{T1: 2 * time.Second, T2: 100 * time.Second, Preferred: 200 * time.Second, Valid: 300 * time.Second}
	_, err = peer.StartServer(top.Server, peer.Kea, peer.ServerConfig{Timers: often})
	need(t, err)
	need(t, r.relay.Start())
	var got [2][]netip.Prefix
	var clients [2]*peer.Client
	for i := range 2 {
		clients[i], err = peer.StartClient(top.Client(i+1), peer.Dhcpcd, peer.ClientConfig{NoAddress: true})
		need(t, err)
	}
	for i, c := range clients {
		got[i], err = c.Await(patience, 1)
		need(t, err)
		r.wantRoute(got[i][0], i+1)
	}
	need(t, clients[1].Crash())
	left := func(p netip.Prefix) float64 {
		all := r.delegations("--prefix", p.String())
		if len(all) != 1 {
			t.Fatalf("%d delegations of %s on view, want one", len(all), p)
		}
		return all[0].Valid.(float64)
	}
	// The other's was granted before that one's.
	until(t, "the lease of who is there has been extended, the other has not", func() bool {
		return left(got[0][0])-left(got[1][0]) > 3*often.T1.Seconds()
	})
	r.wantRoute(got[0][0], 1)
	inside, err := clients[0].Inside()
	need(t, err)
	reaches(t, r.Server, netip.Addr{}, inside)
}

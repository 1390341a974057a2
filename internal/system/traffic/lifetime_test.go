package traffic_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// G-8: "The delegating relay MUST update the lease lifetimes based on the
// client's reply messages it forwards to the client and only expire the
// delegated prefixes when the valid lifetime has elapsed."
func TestRFC8987_G8_ExpiresWhenTheValidLifetimeHasElapsed(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	// A preferred lifetime that has elapsed ends nothing, nor does the end of
	// another prefix meanwhile.
	untilSeen(t, 4, func(within netip.Prefix, valid dhcp6.Lifetime) bool {
		p, other := part(within, 0), part(within, 1)
		r.grant(1, dhcp6.IAPrefix{Prefix: p, Preferred: 1, Valid: valid}, lasting(other, valid/2))
		begin := time.Now()
		c.Obtain(1)
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
			r := start(t, lab.Plan{Clients: 1})
			c := r.client(1)
			untilSeen(t, 3, func(within netip.Prefix, valid dhcp6.Lifetime) bool {
				extended, left := part(within, 0), part(within, 1)
				r.grant(1, lasting(extended, valid), lasting(left, valid))
				begin := time.Now()
				c.Obtain(1)
				r.grant(1, rig.Long(extended))
				options := script.IAPD(1, lasting(extended, 0))
				if mt != dhcp6.Rebind {
					options = append(script.ServerID(script.DefaultServerDUID), options...)
				}
				c.Exchange(c.Message(mt, options))
				// As long as this one has its route, the other, which was given with it, has not
				// ended before it was extended.
				seen := len(r.RouteOf(left)) > 0
				if lives(begin, valid) && !seen {
					t.Errorf("what the Reply does not name is gone before its valid lifetime of %d s has elapsed", valid)
				}
				r.ends(left, valid)
				r.WantRoute(extended, 1)
				return seen
			})
		})
	}
}

// G-8: a lifetime that a Reply makes shorter is shorter.
func TestRFC8987_G8_ReplyShortens(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	p, stays := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	r.grant(1, rig.Long(p), rig.Long(stays))
	c := r.client(1)
	reply := c.Obtain(1)
	r.grant(1, lasting(p, 2), rig.Long(stays))
	c.Renew(reply)
	r.WantNoRoute(p)
	r.WantRoute(stays, 1)
}

// G-8: valid lifetime 0 ends a delegation at once, and 0xffffffff never does,
// across a restart either.
func TestRFC8987_G8_ZeroAndInfinity(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	zero, ever := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	r.grant(1, rig.Long(zero), lasting(ever, dhcp6.Infinity))
	c := r.client(1)
	reply := c.Obtain(1)
	if diff := cmp.Diff(texts(zero, ever), r.Routed()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	r.grant(1, lasting(zero, 0), lasting(ever, dhcp6.Infinity))
	c.Renew(reply)
	r.WantNoRoute(zero) // an end is told first, and then taken out
	if diff := cmp.Diff(texts(ever), r.Routed()); diff != "" {
		t.Errorf("routes after the Renew (-want +got):\n%s", diff)
	}
	r.Fairlead.Restart()
	r.WantRoute(ever, 1)
	for _, d := range r.delegations() {
		if d.Valid != "infinite" {
			t.Errorf("%s: valid %v, want infinite", d.Prefix, d.Valid)
		}
	}
}

// G-8: the lifetimes of an address say nothing of a prefix beside it, and a
// Reply by rapid commit counts.
func TestRFC8987_G8_AddressesAndRapidCommit(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	p := pfx("2001:db8:1100::/56")
	answers := r.said.answers()
	answers.Addresses = func(script.Request, dhcp6.IA) []dhcp6.IAAddr {
		return []dhcp6.IAAddr{{Address: netip.MustParseAddr("2001:db8:1::55"), Preferred: 1, Valid: 1}}
	}
	r.Played.Become(answers.Answer)
	r.grant(1, lasting(p, 4))
	begin := time.Now()
	c := r.client(1)
	reply := c.Exchange(c.Message(dhcp6.Solicit, script.Option(dhcp6.OptionRapidCommit), script.IANA(1), script.IAPD(1), script.IANA(1)))
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
	r.Fairlead.Show(&past, "history", "--prefix", p.String())
	if len(past) != 1 || past[0].Reason != "expired" {
		t.Errorf("history of %s: %+v, want that it has expired", p, past)
	}
}

// G-8: what a Reply does not say ends nothing: no IA_PD, an IA_PD with a status
// alone, a status for the whole message.
func TestRFC8987_G8_SilenceEndsNothing(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	p := pfx("2001:db8:1100::/56")
	c, reply := r.delegate(1, p)
	r.WantRoute(p, 1)
	r.grant(1) // NoPrefixAvail
	c.Renew(reply)
	for _, options := range [][]byte{
		nil,
		script.Option(dhcp6.OptionStatusCode, 0, 3),
		script.IAPD(1),
		script.Option(dhcp6.OptionIAPD, 0, 0, 0, 1, 0, 0), // too short to be one
	} {
		r.Played.Become(func(q script.Request) [][]byte {
			b := dhcp6.AppendMessageHeader(nil, dhcp6.Reply, q.Message.TransactionID())
			return [][]byte{q.Wrap(slices.Concat(b, script.Option(dhcp6.OptionClientID, rig.DUID(1)...), script.ServerID(script.DefaultServerDUID), options))}
		})
		c.Renew(reply)
	}
	r.WantRoute(p, 1)
}

// G-8 with programs by others: Kea's leases are renewed by dhcpcd and extended; one
// whose client has crashed is not, and runs down.
func TestRFC8987_G8_KeaAndDhcpcdRenew(t *testing.T) {
	r := build(t, lab.Plan{Clients: 2})
	r.Played.Close()
	often := peer.Timers{T1: 2 * time.Second, T2: 100 * time.Second, Preferred: 200 * time.Second, Valid: 300 * time.Second}
	r.Server.Serve(peer.Kea, peer.ServerConfig{Timers: often})
	r.Fairlead.Start()
	var got [2][]netip.Prefix
	var clients [2]*rig.Foreign
	for i := range 2 {
		clients[i] = r.Client(i+1).Foreign(peer.Dhcpcd, peer.ClientConfig{NoAddress: true})
	}
	for i, c := range clients {
		got[i] = c.Await(1)
		r.WantRoute(got[i][0], i+1)
	}
	clients[1].Crash()
	left := func(p netip.Prefix) float64 {
		all := r.delegations("--prefix", p.String())
		if len(all) != 1 {
			t.Fatalf("%d delegations of %s on view, want one", len(all), p)
		}
		return all[0].Valid.(float64)
	}
	// The other's was granted before that one's.
	r.Until("the lease of who is there has been extended, the other has not", func() bool {
		return left(got[0][0])-left(got[1][0]) > 3*often.T1.Seconds()
	})
	r.WantRoute(got[0][0], 1)
	inside := clients[0].Inside()
	r.Server.Reaches(netip.Addr{}, inside)
}

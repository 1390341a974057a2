package attack_test

import (
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// A copied DUID with Renew and with Rebind on the victim's link: the server takes
// the attacker for the victim and confirms the prefix; the victim answers the
// probe, and keeps it.
func TestCopiedDUIDOnTheLink(t *testing.T) {
	for _, mt := range []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind, dhcp6.Request} {
		t.Run(mt.String(), func(t *testing.T) {
			r := withKea(t)
			v := r.victim()
			thief := r.Client(2).Play(rig.DUID(1))
			r.Rises(func() int { return r.refused()["still-answers"] }, "still-answers", 1, func() {
				reply := thief.Exchange(v.Says(mt))
				if got := script.Delegations(reply); len(got) != 1 || got[0].Prefix != v.Prefix || got[0].Valid == 0 {
					t.Fatalf("the server gave the thief %v, want %s: the test shows nothing", got, v.Prefix)
				}
			})
			v.Unmoved()
			r.cannotUse(r.Client(2), shared, "spoofed-link-layer", v)
		})
	}
}

// The same on another link. Kea knows that the prefix does not belong there and
// says so, with lifetimes of 0; a server that does not is not believed.
func TestCopiedDUIDOnAnotherLink(t *testing.T) {
	for _, mt := range []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind} {
		t.Run("Kea "+mt.String(), func(t *testing.T) {
			r := withKea(t)
			v := r.victim()
			thief := r.far.Play(rig.DUID(1))
			thief.Exchange(v.Says(mt))
			v.Unmoved()
			r.cannotUse(r.far, other, "spoofed", v)
		})
		t.Run("careless "+mt.String(), func(t *testing.T) {
			r := withServer(t, always("2001:db8:1100::/56"))
			v := r.victim()
			thief := r.far.Play(rig.DUID(1))
			r.Rises(func() int { return r.refused()["still-answers"] }, "still-answers", 1, func() {
				thief.Exchange(v.Says(mt))
			})
			v.Unmoved()
			r.cannotUse(r.far, other, "spoofed", v)
		})
	}
}

// always is a server that gives everyone the same prefixes.
func always(prefixes ...string) script.Answer {
	var all []netip.Prefix
	for _, p := range prefixes {
		all = append(all, netip.MustParsePrefix(p))
	}
	return rig.Always(all...)
}

// The server can be brought to take the prefix back in an answer to an attacker
// on the victim's link: it has heard a Release in the victim's name, and leased
// the prefix to somebody else since. That ends nothing while the victim answers.
func TestWithdrawalByAnAnswerToAnAttacker(t *testing.T) {
	r := withServer(t, always("2001:db8:1100::/56"))
	v := r.victim()
	thief := r.Client(2).Play(rig.DUID(1))
	r.Played.Become(script.Grants{Prefixes: script.Always(dhcp6.IAPrefix{Prefix: v.Prefix})}.Answer)
	r.Rises(func() int { return r.refused()["still-answers"] }, "still-answers", 1, func() {
		reply := thief.Exchange(v.Says(dhcp6.Renew))
		if got := script.Delegations(reply); len(got) != 1 || got[0].Valid != 0 {
			t.Fatalf("the server gave the thief %v, want a lifetime of 0: the test shows nothing", got)
		}
	})
	r.Played.Become(always(v.Prefix.String()))
	v.Unmoved()
	// In an answer to the victim it counts.
	r.Played.Become(script.Grants{Prefixes: script.Always(dhcp6.IAPrefix{Prefix: v.Prefix})}.Answer)
	v.Renew(v.Reply)
	r.WantNoRoute(v.Prefix)
}

// With Kea, from beginning to end: a Release in the victim's name frees the lease
// at the server, and the attacker asks for the prefix under its own name.
func TestReleasedAndTakenAtTheServer(t *testing.T) {
	r := withKea(t)
	v := r.victim()
	copied, thief := r.Client(2).Play(rig.DUID(1)), rig.DUID(66)
	r.mismatched(1, func() {
		copied.Exchange(v.Says(dhcp6.Release))
	})
	copied.Close()
	own := r.Client(2).Play(thief)
	hint := dhcp6.IAPrefix{Prefix: v.Prefix, Preferred: 2000, Valid: 3000}
	advertise := own.Exchange(own.Message(dhcp6.Solicit, script.IAPD(iaid, hint)))
	r.Rises(func() int { return r.refused()["still-answers"] }, "still-answers", 1, func() {
		reply := own.Exchange(own.Message(dhcp6.Request, serverID(advertise), script.IAPD(iaid, hint)))
		if got := script.Delegations(reply); len(got) != 1 || got[0].Prefix != v.Prefix {
			t.Fatalf("the server gave the thief %v, want %s: the test shows nothing", got, v.Prefix)
		}
	})
	v.Compare("after the server gave it to the thief")
	v.Reachable()
	r.cannotUse(r.Client(2), shared, "spoofed-link-layer", v)
}

// Many prefixes under the victim's DUID, for a host that has copied it, do not
// use up the victim's limit.
func TestCopiedDUIDUsesUpTheLimit(t *testing.T) {
	r := withServer(t, numbered)
	thief := r.Client(2).Play(rig.DUID(1))
	var iaids []uint32
	for i := range uint32(8) {
		iaids = append(iaids, 100+i)
	}
	reply := thief.Obtain(iaids...)
	if got := script.Delegations(reply); len(got) != 8 {
		t.Fatalf("the thief has %d prefixes, want 8, which is the limit", len(got))
	}
	r.dropped(shared, "limit", 1, func() {
		thief.Send(thief.Message(dhcp6.Request, serverID(reply), script.IAPD(108)))
		thief.Passed()
	})
	v := r.victim()
	v.Unmoved()
}

// numbered is a server that gives each IA_PD a prefix of its own.
var numbered = new(rig.Book).Grants().Answer

// cannotUse fails if a host gets a packet with the victim's source through: the
// filter's counter must rise by each.
func (r *network) cannotUse(d *rig.Host, link, counter string, v *rig.Victim) {
	r.T.Helper()
	x, in := d.Throw("c0", r.Relay, link), r.Server.Listen()
	r.Rises(func() int { return r.Counter(counter) }, counter, 2, func() {
		x.Send(v.Inside.String(), lab.ServerAddress.String(), "stolen")
		x.Send(v.Prefix.Addr().Next().Next().String(), lab.ServerAddress.String(), "stolen as well")
	})
	if slices.Contains(in.Got(), "stolen") || slices.Contains(in.Got(), "stolen as well") {
		r.T.Errorf("came through: %v", in.Got())
	}
}

// A holder has released its prefix where the relay did not hear it, and the server gives
// the prefix to another client. A neighbour sends from the prefix, so that the relay
// takes it for used: only the holder's own packets say that.
func TestNeighbourUsesAnothersPrefix(t *testing.T) {
	for _, filter := range []string{"link", "strict"} {
		t.Run(filter, func(t *testing.T) {
			r := withServer(t, always("2001:db8:1100::/56"), "filter: "+filter)
			holder, heir := r.Client(1).Play(rig.DUID(1)), r.Client(3).Play(rig.DUID(3))
			reply := holder.Obtain(iaid)
			p := script.Delegations(reply)[0].Prefix
			r.WantRouteVia(p, holder.Own().String(), shared)
			x, in := r.Client(2).Throw("c0", r.Relay, shared), r.Server.Listen()
			r.Until("the neighbour's packets come to the filter", func() bool {
				x.Send(p.Addr().Next().String(), lab.ServerAddress.String(), "of a neighbour")
				return slices.Contains(in.Got(), "of a neighbour") || r.Counter("spoofed-link-layer") > 0
			})
			heir.Obtain(iaid)
			r.WantRouteVia(p, heir.Own().String(), shared)
		})
	}
}

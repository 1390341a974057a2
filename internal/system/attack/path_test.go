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

// A host on the uplink's path writes the server's address into its packets, while nothing
// protects that path. What is bounded stays safe: reserved prefixes, parts of the victim's
// prefix, and what the victim has and answers probes for.
func TestOnThePathWithTheServersAddress(t *testing.T) {
	r := withKea(t, `delegable: [{prefix: "2001:db8:1100::/40", lengths: 48-60}]`)
	v := r.victim()
	x := r.throwAt(onPath)
	attacker := r.Client(2).LinkLocal("c0")
	forge := func(to netip.Addr, duid dhcp6.DUID, prefixes ...dhcp6.IAPrefix) {
		m := dhcp6.AppendClientID(dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 0xbad), duid)
		m = slices.Concat(m, serverID(v.Reply), script.IAPD(iaid, prefixes...))
		x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(lab.ServerAddress, dhcp6.ServerPort), rig.ToRelay, wrapped(to, m))
	}
	long := func(text string) dhcp6.IAPrefix { return rig.Long(netip.MustParsePrefix(text)) }
	count := func(reason string) func() int { return func() int { return r.refused()[reason] } }
	inside, err := v.Prefix.Addr().Prefix(60)
	r.Need(err)
	for _, c := range []struct {
		reason string
		by     int
		attack func()
	}{
		{"not-delegable", 4, func() {
			forge(attacker, rig.DUID(66), long("::/0"), long("2001:db8:1::/64"), long("2001:db8:ff::/56"), long("2001:db8:2000::/56"))
		}},
		{"overlap", 1, func() { forge(attacker, rig.DUID(66), long(inside.String())) }},
		{"still-answers", 1, func() { forge(attacker, rig.DUID(66), long(v.Prefix.String())) }},
		{"still-answers", 1, func() { forge(attacker, rig.DUID(1), long(v.Prefix.String())) }},
		{"still-answers", 1, func() { forge(attacker, rig.DUID(1), dhcp6.IAPrefix{Prefix: v.Prefix}) }},
	} {
		r.Rises(count(c.reason), c.reason, c.by, c.attack)
	}
	v.Unmoved()
	if got := r.Routed(); len(got) != 1 {
		t.Errorf("routed: %v, want the victim's prefix alone", got)
	}

	// And this is what the host can do, for which reason SECURITY.md requires a private path
	// until it is protected: it can grant a prefix that is free and within the bounds.
	free := long("2001:db8:11ff:ff00::/56")
	forge(attacker, rig.DUID(66), free)
	r.WantRouteVia(free.Prefix, attacker.String(), shared)
	v.Unmoved()
}

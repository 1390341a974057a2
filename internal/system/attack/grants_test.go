package attack_test

import (
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// A server gone wrong, or one that somebody else speaks for: whatever it grants
// an attacker, neither the default route, nor the links, nor the infrastructure,
// nor a part of the victim's prefix goes there. No bounds are configured.
func TestGrantOfWhatIsNotTheServersToGive(t *testing.T) {
	// The client asks for all that it is offered: that is not to be what stops it.
	r := withServer(t, always("2001:db8:1100::/56"), "limits: {client: 64}")
	v := r.victim()
	unrelated := func() string {
		out := r.Relay.IP("-6 route show table main")
		return out
	}
	before := unrelated()
	reserved := []string{
		"::/0", "::/3", "::/64", // everything, and what begins so
		"2001:db8:1::/64", "2001:db8:1::/48", "2001:db8:9::/64", // the links
		"2001:db8:1::1/128", "2001:db8:1::8000:0:0:0/65",
		"2001:db8:fe::/64", "2001:db8:ff::/48", "2001:db8:ff::2/128", // the infrastructure
		"2001:db8::/32", // all that is above
		"fe80::/64", "ff00::/8", "ff02::/16",
	}
	overlapping := []string{"2001:db8:1100:5::/64", "2001:db8:1100:80::/57", "2001:db8:1100::/48", "2001:db8:1100::1/128"}
	r.Played.Become(always(append(slices.Concat(reserved, overlapping), spare.String())...))
	thief := r.Client(2).Play(rig.DUID(66))
	count := func(reason string) func() int { return func() int { return r.refused()[reason] } }
	r.Rises(count("not-delegable"), "not-delegable", len(reserved), func() {
		r.Rises(count("overlap"), "overlap", len(overlapping), func() {
			reply := thief.Obtain(iaid)
			if got := len(script.Delegations(reply)); got != len(reserved)+len(overlapping)+1 {
				t.Fatalf("the server's Reply has %d prefixes: the test shows nothing", got)
			}
		})
	})
	r.WantRouteVia(spare, thief.Own().String(), shared) // what is free is the server's to give
	if got := r.Routed(); !slices.Equal(got, []string{v.Prefix.String(), spare.String()}) {
		t.Errorf("routed: %v, want %s and %s", got, v.Prefix, spare)
	}
	r.Played.Become(always(v.Prefix.String()))
	v.Unmoved()
	thief.Release(r.replyWith(thief, spare))
	r.WantNoRoute(spare)
	if after := unrelated(); after != before {
		t.Errorf("the routing table is\n%swas\n%s", after, before)
	}
}

// replyWith is a Reply to a client that holds a prefix.
func (r *network) replyWith(c *rig.Client, p netip.Prefix) dhcp6.Message {
	r.T.Helper()
	m, err := dhcp6.ParseMessage(c.Message(dhcp6.Reply, script.ServerID(script.DefaultServerDUID), script.IAPD(iaid, dhcp6.IAPrefix{Prefix: p, Valid: 1})))
	r.Need(err)
	return m
}

package attack_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// iaid is that of the victim's IA_PD.
const iaid = 1

// victim is a client that holds a prefix and has an address of it at home.
type victim struct {
	*rig.Client
	net    *network
	node   *rig.Host
	reply  dhcp6.Message
	prefix netip.Prefix
	inside netip.Addr
	was    standing
}

// standing is what an attack must leave as it was.
type standing struct {
	Routes     []labtest.Route
	Elements   []string
	Delegation []shown
}

// shown is what `fairlead delegations --json` says, but for the times.
type shown struct {
	Prefix  string `json:"prefix"`
	Link    string `json:"link"`
	Client  string `json:"client"`
	IAID    uint32 `json:"iaid"`
	NextHop string `json:"next_hop"`
	Layer   string `json:"link_layer"`
}

// victim makes client 1 one.
func (r *network) victim() *victim {
	r.T.Helper()
	v := &victim{net: r, node: r.Client(1), Client: r.Client(1).Play(rig.DUID(1))}
	v.obtain()
	return v
}

// obtain gets the victim its prefix.
func (v *victim) obtain() {
	v.net.T.Helper()
	reply := v.Obtain(iaid)
	v.hold(reply)
	v.inside = v.prefix.Addr().Next()
	v.node.Address("lan0", v.inside.String()+"/64")
	v.net.WantRouteVia(v.prefix, v.Own().String(), shared)
	v.was = v.standing()
	if len(v.was.Elements) == 0 || len(v.was.Delegation) != 1 {
		v.net.T.Fatalf("the victim has no filter element or no delegation: %+v", v.was)
	}
	v.reachable()
}

// hold takes a Reply as the victim's newest.
func (v *victim) hold(reply dhcp6.Message) {
	v.net.T.Helper()
	got := script.Delegations(reply)
	if len(got) != 1 || got[0].Valid == 0 || v.prefix.IsValid() && got[0].Prefix != v.prefix {
		v.net.T.Fatalf("the server gave the victim %v, it held %v", got, v.prefix)
	}
	v.reply, v.prefix = reply, got[0].Prefix
}

func (v *victim) standing() standing {
	v.net.T.Helper()
	s := standing{Routes: v.net.RouteOf(v.prefix), Elements: v.net.Permitted(`"` + v.prefix.Addr().String() + `"`)}
	slices.Sort(s.Elements)
	v.net.Fairlead.Show(&s.Delegation, "delegations", "--prefix", v.prefix.String())
	return s
}

// reachable waits until the world reaches the victim's home, and that the other
// way round.
func (v *victim) reachable() {
	v.net.T.Helper()
	v.net.Until("the server reaches "+v.inside.String(), func() bool { return v.net.Server.Ping(netip.Addr{}, v.inside) == nil })
	v.net.Until(v.inside.String()+" reaches the server", func() bool { return v.node.Ping(v.inside, lab.ServerAddress) == nil })
}

// unmoved fails if anything of the victim's has changed. What was decided before
// has been installed: a renewal comes after it in the order of changes.
func (v *victim) unmoved() {
	v.net.T.Helper()
	v.compare("after the attack")
	reply := v.Renew(v.reply)
	v.hold(reply)
	v.compare("after the victim's renewal")
	v.reachable()
}

func (v *victim) compare(when string) {
	v.net.T.Helper()
	if diff := cmp.Diff(v.was, v.standing()); diff != "" {
		v.net.T.Errorf("%s: what is the victim's has changed (-was +is):\n%s", when, diff)
	}
}

// says is a message with the victim's identifiers and what it holds, as anyone
// can send it who has heard the victim once.
func (v *victim) says(t dhcp6.MessageType) []byte {
	var options []byte
	if server, ok := v.reply.ServerID(); ok && t != dhcp6.Rebind {
		options = script.ServerID(server)
	}
	for _, d := range script.Delegations(v.reply) {
		options = append(options, script.IAPD(d.IAID, dhcp6.IAPrefix{Prefix: d.Prefix, Preferred: d.Preferred, Valid: d.Valid})...)
	}
	return v.Message(t, options)
}

// The rig works: the victim is served, and nothing has changed when nothing was
// done.
func TestNobodyAttacks(t *testing.T) {
	r := withKea(t)
	v := r.victim()
	v.unmoved()
	// The attackers are there, and would be served.
	for _, d := range []*rig.Host{r.Client(2), r.far} {
		d.Play(rig.DUID(7)).Obtain(iaid)
	}
	v.unmoved()
}

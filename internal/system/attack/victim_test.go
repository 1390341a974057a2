package attack_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// iaid is that of the victim's IA_PD.
const iaid = 1

// victim is a client that holds a prefix and has an address of it at home.
type victim struct {
	*script.Client
	rig    *rig
	node   *lab.Node
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
func (r *rig) victim() *victim {
	r.t.Helper()
	v := &victim{rig: r, node: r.Client(1), Client: r.client(r.Client(1), duid(1))}
	v.obtain()
	return v
}

// obtain gets the victim its prefix.
func (v *victim) obtain() {
	v.rig.t.Helper()
	reply, err := v.Obtain(patience, iaid)
	need(v.rig.t, err)
	v.hold(reply)
	v.inside = v.prefix.Addr().Next()
	need(v.rig.t, v.node.Address("lan0", v.inside.String()+"/64"))
	v.rig.WantRouteVia(v.prefix, v.Source.Addr().WithZone("").String(), shared)
	v.was = v.standing()
	if len(v.was.Elements) == 0 || len(v.was.Delegation) != 1 {
		v.rig.t.Fatalf("the victim has no filter element or no delegation: %+v", v.was)
	}
	v.reachable()
}

// hold takes a Reply as the victim's newest.
func (v *victim) hold(reply dhcp6.Message) {
	v.rig.t.Helper()
	got := script.Delegations(reply)
	if len(got) != 1 || got[0].Valid == 0 || v.prefix.IsValid() && got[0].Prefix != v.prefix {
		v.rig.t.Fatalf("the server gave the victim %v, it held %v", got, v.prefix)
	}
	v.reply, v.prefix = reply, got[0].Prefix
}

func (v *victim) standing() standing {
	v.rig.t.Helper()
	s := standing{Routes: v.rig.RouteOf(v.prefix), Elements: v.rig.Permitted(`"` + v.prefix.Addr().String() + `"`)}
	slices.Sort(s.Elements)
	labtest.Show(v.rig.t, v.rig.relay, &s.Delegation, "delegations", "--prefix", v.prefix.String())
	return s
}

// reachable waits until the world reaches the victim's home, and that the other
// way round.
func (v *victim) reachable() {
	v.rig.t.Helper()
	until(v.rig.t, "the server reaches "+v.inside.String(), func() bool { return v.rig.Server.Ping(netip.Addr{}, v.inside) == nil })
	until(v.rig.t, v.inside.String()+" reaches the server", func() bool { return v.node.Ping(v.inside, lab.ServerAddress) == nil })
}

// unmoved fails if anything of the victim's has changed. What was decided before
// has been installed: a renewal comes after it in the order of changes.
func (v *victim) unmoved() {
	v.rig.t.Helper()
	v.compare("after the attack")
	reply, err := v.Renew(patience, v.reply)
	need(v.rig.t, err)
	v.hold(reply)
	v.compare("after the victim's renewal")
	v.reachable()
}

func (v *victim) compare(when string) {
	v.rig.t.Helper()
	if diff := cmp.Diff(v.was, v.standing()); diff != "" {
		v.rig.t.Errorf("%s: what is the victim's has changed (-was +is):\n%s", when, diff)
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
	parallel(t)
	r := withKea(t)
	v := r.victim()
	v.unmoved()
	// The attackers are there, and would be served.
	for _, d := range []*lab.Node{r.Client(2), r.far} {
		_, err := r.client(d, duid(7)).Obtain(patience, iaid)
		need(t, err)
	}
	v.unmoved()
}

package rig

import (
	"net/netip"
	"reflect"
	"slices"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// Victim is a client that holds a prefix and has an address of it at home. Attacks must leave
// both as they are.
type Victim struct {
	*Client
	Node   *Host
	Reply  dhcp6.Message // the newest that it got
	Prefix netip.Prefix
	Inside netip.Addr // its address at home

	rig   *Rig
	shown string // the command that shows what it holds
	was   standing
}

// iaid is that of a Victim's IA_PD.
const iaid = 1

// standing is what an attack must leave as it was.
type standing struct {
	Routes   []labtest.Route
	Elements []string // of the filter
	Holds    []held
}

// held is what `fairlead delegations --json` or `fairlead leases --json` says, without the times.
type held struct {
	Prefix  string `json:"prefix"`
	Link    string `json:"link"`
	Client  string `json:"client"`
	IAID    uint32 `json:"iaid"`
	NextHop string `json:"next_hop"`
	Layer   string `json:"link_layer"`
}

// Victim has client 1 obtain a prefix by its link of the Fairlead. What it holds is shown by
// `fairlead delegations` or `fairlead leases`.
func (r *Rig) Victim(link, shown string) *Victim {
	r.T.Helper()
	v := &Victim{Node: r.Client(1), Client: r.Play(1, DUID(1)), rig: r, shown: shown}
	v.hold(v.Obtain(iaid))
	v.Inside = r.AddressIn(1, v.Prefix)
	r.WantRouteVia(v.Prefix, v.Own().String(), link)
	v.was = v.standing()
	if len(v.was.Elements) == 0 || len(v.was.Holds) != 1 {
		r.T.Fatalf("the victim has no filter element or no lease: %+v", v.was)
	}
	v.Reachable()
	return v
}

// hold takes a Reply as the victim's newest.
func (v *Victim) hold(reply dhcp6.Message) {
	v.rig.T.Helper()
	got := script.Delegations(reply)
	if len(got) != 1 || got[0].Valid == 0 || v.Prefix.IsValid() && got[0].Prefix != v.Prefix {
		v.rig.T.Fatalf("the server gave the victim %v, it held %v", got, v.Prefix)
	}
	v.Reply, v.Prefix = reply, got[0].Prefix
}

func (v *Victim) standing() standing {
	v.rig.T.Helper()
	s := standing{Routes: v.rig.RouteOf(v.Prefix), Elements: v.rig.Permitted(`"` + v.Prefix.Addr().String() + `"`)}
	slices.Sort(s.Elements)
	v.rig.Fairlead.Show(&s.Holds, v.shown, "--prefix", v.Prefix.String())
	return s
}

// Reachable waits until the world reaches the victim's home, and that the other way round.
func (v *Victim) Reachable() {
	v.rig.T.Helper()
	v.rig.Until("the server reaches "+v.Inside.String(), func() bool { return v.rig.Server.Ping(netip.Addr{}, v.Inside) == nil })
	v.rig.Until(v.Inside.String()+" reaches the server", func() bool { return v.Node.Ping(v.Inside, lab.ServerAddress) == nil })
}

// Unmoved fails if anything of the victim's has changed. What was decided before has been
// installed: a renewal comes after it in the order of changes.
func (v *Victim) Unmoved() {
	v.rig.T.Helper()
	v.Compare("after the attack")
	v.hold(v.Renew(v.Reply))
	v.Compare("after the victim's renewal")
	v.Reachable()
}

// Compare fails if anything of the victim's has changed until now.
func (v *Victim) Compare(when string) {
	v.rig.T.Helper()
	if is := v.standing(); !reflect.DeepEqual(v.was, is) {
		v.rig.T.Errorf("%s what is the victim's has changed:\n was %+v\n is  %+v", when, v.was, is)
	}
}

// Says is a message with the victim's identifiers and what it holds, as anyone can send it who
// has heard the victim once.
func (v *Victim) Says(t dhcp6.MessageType) []byte {
	var options []byte
	if server, ok := v.Reply.ServerID(); ok && t != dhcp6.Rebind {
		options = script.ServerID(server)
	}
	for _, d := range script.Delegations(v.Reply) {
		options = append(options, script.IAPD(d.IAID, dhcp6.IAPrefix{Prefix: d.Prefix, Preferred: d.Preferred, Valid: d.Valid})...)
	}
	return v.Message(t, options)
}

// Rises carries out an attack and waits until a counter has risen by exactly as much.
func (n *Net) Rises(count func() int, what string, by int, attack func()) {
	n.T.Helper()
	before := count()
	attack()
	if err := lab.Until(labtest.Patience, what+" is counted", func() bool { return count() >= before+by }); err != nil {
		n.T.Fatalf("%v: %d counted, want %d", err, count()-before, by)
	}
	if got := count() - before; got != by {
		n.T.Errorf("%s: %d counted, want %d", what, got, by)
	}
}

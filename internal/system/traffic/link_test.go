package traffic_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// wantLinkAddress waits until the relay has taken notice of a change, and looks at the
// link-address of a message from a client on the link of that name.
func (r *network) wantLinkAddress(c *rig.Client, name string, want netip.Addr) {
	r.T.Helper()
	r.Until("the relay shows the link-address "+want.String(), func() bool {
		var link struct {
			LinkAddress netip.Addr `json:"link_address"`
		}
		r.Fairlead.ShowLink(&link, name)
		return link.LinkAddress == want
	})
	message := c.Message(dhcp6.InformationRequest)
	c.Exchange(message)
	if got := r.Played.Heard(message)[0].Relays[0].LinkAddress(); got != want {
		r.T.Fatalf("the link-address is %s, want %s", got, want)
	}
}

// RFC 8415 section 19.1.1: the link-address is an address of the link, and follows it
// while the relay runs: another global one takes the place of one that is gone, not a
// unique local one.
func TestRFC8415_19_1_1_LinkAddressFollows(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	r.wantLinkAddress(c, "d1", lab.LinkAddress(1))
	change := func(format string, args ...any) {
		t.Helper()
		r.Relay.IP(format, args...)
	}
	change("-6 addr add fd00:1::1/64 dev d1 nodad")
	change("-6 addr del %s/64 dev d1", lab.LinkAddress(1))
	change("-6 addr add 2001:db8:9::9/64 dev d1 nodad")
	r.wantLinkAddress(c, "d1", netip.MustParseAddr("2001:db8:9::9"))
	p := pfx("2001:db8:1100::/56")
	r.grant(1, rig.Long(p))
	c.Obtain(1)
	r.WantRoute(p, 1)
}

// RFC 8415 section 19.1.1: a global address before a unique local one before a
// link-local one, which is the last resort.
func TestRFC8415_19_1_1_BetterLinkAddresses(t *testing.T) {
	r := build(t, lab.Plan{Clients: 1})
	r.Relay.IP("-6 addr del %s/64 dev d1", lab.LinkAddress(1))
	r.Fairlead.Start()
	c := r.client(1)
	own := r.Relay.LinkLocal("d1")
	r.wantLinkAddress(c, "d1", own.WithZone(""))
	r.Relay.IP("-6 addr add fd00:1::1/64 dev d1 nodad")
	r.wantLinkAddress(c, "d1", netip.MustParseAddr("fd00:1::1"))
	r.Relay.IP("-6 addr add %s/64 dev d1 nodad", lab.LinkAddress(1))
	r.wantLinkAddress(c, "d1", lab.LinkAddress(1))
}

// The filter's on-link prefixes follow too.
func TestRFC8987_R3_OnLinkPrefixesFollow(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	g := watch(r, 1)
	g.passes("2001:db8:1::77")
	g.stops(spoofed, "2001:db8:9::77")
	r.Relay.IP("-6 addr add 2001:db8:9::9/64 dev d1 nodad")
	r.Until("the new on-link prefix is permitted", func() bool { return len(r.Permitted(`"2001:db8:9::"`)) > 0 })
	g.passes("2001:db8:9::77")
	r.Relay.IP("-6 addr del 2001:db8:9::9/64 dev d1")
	r.Until("it is not any more", func() bool { return len(r.Permitted(`"2001:db8:9::"`)) == 0 })
	g.stops(spoofed, "2001:db8:9::77")
}

// renamed is build for one client, on d1 or on the name that this gets.
func renamed(t *testing.T) *network {
	t.Helper()
	r := build(t, lab.Plan{Clients: 1})
	r.Fairlead.Write(strings.ReplaceAll(r.Standard(), `"d*"`, "[d1, wan1]"))
	return r
}

// permittedOn are the filter elements of a prefix on a link.
func (r *network) permittedOn(link string, p netip.Prefix) (found []string) {
	r.T.Helper()
	for _, e := range r.Permitted(`"` + p.Addr().String() + `"`) {
		if strings.Contains(e, `"`+link+`"`) {
			found = append(found, e)
		}
	}
	return found
}

// An interface that is renamed is the same link: an answer that is under way by the
// old name reaches its client, and what is delegated stays routed, without a moment
// in which somebody else could see it withdrawn.
func TestLinkIsRenamed(t *testing.T) {
	r := renamed(t)
	r.Fairlead.Start()
	p, next := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	c, _ := r.delegate(1, p)
	r.WantRoute(p, 1)
	hop := r.Client(1).LinkLocal("c0")
	monitor := r.Relay.Start("monitor", "ip", "-6", "monitor", "route")
	seen := func(mark string) {
		t.Helper()
		r.Until("the monitor shows "+mark, func() bool {
			r.Relay.IP("-6 route replace unreachable %s metric 77", mark)
			return strings.Contains(monitor.Log(), mark)
		})
	}
	seen("2001:db8:aaaa::/64")

	r.Played.Become(nil)
	request := c.Message(dhcp6.Rebind, script.IAPD(2))
	c.Send(request)
	asked := r.Played.Await(request)
	r.Relay.IP("link set d1 name wan1")
	r.Until("the filter knows the new name alone", func() bool {
		return len(r.permittedOn("wan1", p)) > 0 && len(r.permittedOn("d1", p)) == 0
	})
	r.grant(1, rig.Long(p))
	r.grant(2, rig.Long(next))
	r.Played.Become(r.said.answers().Answer)
	for _, answer := range r.said.answers().Answer(asked) {
		r.Played.Send(asked.From, answer)
	}
	if got := c.Receive(); !bytes.Equal(got.Data[1:4], request[1:4]) {
		t.Errorf("the answer that was under way: %x", got.Data)
	}
	r.WantRouteVia(p, hop.String(), "wan1")
	r.WantRouteVia(next, hop.String(), "wan1")

	r.Relay.IP("link set wan1 name d1")
	r.Until("the filter knows the first name again", func() bool {
		return len(r.permittedOn("d1", next)) > 0 && len(r.permittedOn("wan1", next)) == 0
	})
	r.WantRoute(p, 1)
	r.WantRoute(next, 1)
	seen("2001:db8:bbbb::/64")
	for line := range strings.Lines(monitor.Log()) {
		if strings.Contains(line, p.String()) {
			t.Errorf("the route was touched: %s", line)
		}
	}
}

// The same with Kea: the client renews under the new name, and the relay has it so
// after a restart.
func TestLinkIsRenamedBeforeKea(t *testing.T) {
	r := renamed(t)
	r.Played.Close()
	r.Kea()
	r.Fairlead.Start()
	hop := r.Client(1).LinkLocal("c0")
	c := r.client(1)
	reply := c.Obtain(1)
	held := script.Delegations(reply)
	if len(held) != 1 {
		t.Fatalf("Kea gave %v, want one prefix", held)
	}
	p := held[0].Prefix
	r.WantRoute(p, 1)
	r.Relay.IP("link set d1 name wan1")
	c.Renew(reply)
	r.Until("the filter knows the new name", func() bool { return len(r.permittedOn("wan1", p)) > 0 })
	r.WantRouteVia(p, hop.String(), "wan1")
	r.Fairlead.Stop()
	r.Fairlead.Start()
	r.WantRouteVia(p, hop.String(), "wan1")
	if got := r.Fairlead.CLI("delegations", "--link", "wan1"); !strings.Contains(got, p.String()) {
		t.Errorf("delegations of wan1 after the restart:\n%s", got)
	}
}

// Interfaces that a glob matches are served as they appear, at whatever state:
// after the start, down at the start, and without an address yet.
func TestLinksComeLater(t *testing.T) {
	cable := func(t *testing.T, r *network, commands ...string) *rig.Host {
		t.Helper()
		node := r.Node("late")
		for _, c := range append([]string{"link add name d77 type veth peer name c0 netns " + node.Namespace}, commands...) {
			r.Relay.IP("%s", c)
		}
		node.IP("link set c0 up")
		return node
	}
	served := func(t *testing.T, r *network, node *rig.Host) {
		t.Helper()
		p := pfx("2001:db8:7700::/56")
		r.grant(7, rig.Long(p))
		node.Play(rig.DUID(77)).Obtain(7)
		r.WantRouteVia(p, node.LinkLocal("c0").String(), "d77")
	}
	t.Run("after the start", func(t *testing.T) {
		r := start(t, lab.Plan{})
		served(t, r, cable(t, r, "link set d77 up", "-6 addr add 2001:db8:77::1/64 dev d77 nodad"))
	})
	t.Run("down at the start", func(t *testing.T) {
		r := build(t, lab.Plan{})
		node := cable(t, r)
		r.Fairlead.Start()
		r.Relay.IP("link set d77 up")
		r.Relay.Address("d77", "2001:db8:77::1/64")
		served(t, r, node)
	})
	t.Run("no address at the start", func(t *testing.T) {
		r := build(t, lab.Plan{}, "unnumbered: u0")
		node := cable(t, r, "link set d77 addrgenmode none", "link set d77 up")
		r.Fairlead.Start()
		r.Relay.Address("d77", "fe80::77/64")
		c := node.Play(rig.DUID(77))
		r.wantLinkAddress(c, "d77", lab.RelayAddress) // unnumbered: borrowed
		c.Close()
		served(t, r, node)
	})
	t.Run("gone and back under another index", func(t *testing.T) {
		r := start(t, lab.Plan{})
		node := cable(t, r, "link set d77 up", "-6 addr add 2001:db8:77::1/64 dev d77 nodad")
		served(t, r, node)
		r.Relay.IP("link del d77")
		r.WantStandIn(pfx("2001:db8:7700::/56"))
		for _, c := range []string{"link add name d77 type veth peer name c0 netns " + node.Namespace, "link set d77 up"} {
			r.Relay.IP("%s", c)
		}
		node.IP("link set c0 up")
		// Another link-local address, for the cable is a new one: on a link that
		// may be shared the old one is asked for, and is silent.
		served(t, r, node)
	})
}

// links is how many links there are at once in the test of many.
const links = 200

// Two hundred links at once: each client gets its own prefix and no other's, and
// after kill -9 all routes are there when the relay is ready.
func TestTwoHundredLinksAtOnce(t *testing.T) {
	r := build(t, lab.Plan{})
	farm := r.Node("farm")
	farm.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	var ours, theirs []string
	for i := 1; i <= links; i++ {
		ours = append(ours,
			fmt.Sprintf("link add name d%d type veth peer name c%d netns %s", i, i, farm.Namespace),
			fmt.Sprintf("link set d%d up", i), fmt.Sprintf("addr add %s/64 dev d%d nodad", lab.LinkAddress(i), i))
		theirs = append(theirs, fmt.Sprintf("link set c%d up", i))
		r.grantOn(lab.LinkAddress(i), 1, rig.Long(pfx("2001:db8:%x::/48", 0x1000+i)))
	}
	r.Relay.Batch(ours[:len(ours)/2]...) // some are there at the start, some come later
	r.Fairlead.Start()
	r.Relay.Batch(ours[len(ours)/2:]...)
	farm.Batch(theirs...)

	var all sync.WaitGroup
	failed := make(chan error, links)
	for i := 1; i <= links; i++ {
		all.Go(func() {
			failed <- obtainOn(farm.Node, i)
		})
	}
	all.Wait()
	for range links {
		r.Need(<-failed)
	}
	wrong := func() (n int) {
		at := map[string]string{}
		for _, one := range r.Routes() {
			at[one.Dst] = one.Dev
		}
		for i := 1; i <= links; i++ {
			if at[fmt.Sprintf("2001:db8:%x::/48", 0x1000+i)] != fmt.Sprintf("d%d", i) {
				n++
			}
		}
		return n
	}
	if n := wrong(); n > 0 {
		t.Errorf("%d of %d links have no route for their client", n, links)
	}
	r.Fairlead.Kill()
	r.Relay.IP("-6 route flush proto 87")
	r.Fairlead.Start()
	if n := wrong(); n > 0 {
		t.Errorf("%d of %d links have no route when the relay is ready again", n, links)
	}
}

// obtainOn gets a prefix for a client on one of the farm's links, all of which
// have the same DUID and IAID.
func obtainOn(farm *lab.Node, number int) error {
	name := fmt.Sprintf("c%d", number)
	var c *script.Client
	err := lab.Until(labtest.Patience, name+" is usable", func() (ok bool) {
		var err error
		c, err = script.StartClient(farm, script.ClientConfig{Interface: name, DUID: rig.DUID(1)})
		return err == nil
	})
	if err != nil {
		return err
	}
	defer c.Close()
	reply, err := c.Obtain(labtest.Patience, 1)
	if err != nil {
		return err
	}
	if got, want := rig.Held(reply), pfx("2001:db8:%x::/48", 0x1000+number); len(got) != 1 || got[0] != want {
		return fmt.Errorf("%s holds %v, want %s", name, got, want)
	}
	return nil
}

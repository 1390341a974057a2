package traffic_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// wantLinkAddress waits until the relay has taken notice of a change, and looks at the
// link-address of a message from a client on the link of that name.
func (r *rig) wantLinkAddress(c *script.Client, name string, want netip.Addr) {
	r.t.Helper()
	until(r.t, "the relay shows the link-address "+want.String(), func() bool {
		var link struct {
			LinkAddress netip.Addr `json:"link_address"`
		}
		r.cli(&link, "links", name)
		return link.LinkAddress == want
	})
	message := c.Message(dhcp6.InformationRequest)
	_, err := c.Exchange(patience, message)
	need(r.t, err)
	if got := r.heard(message)[0].Relays[0].LinkAddress(); got != want {
		r.t.Fatalf("the link-address is %s, want %s", got, want)
	}
}

// RFC 8415 section 19.1.1: the link-address is an address of the link, and follows it
// while the relay runs: another global one takes the place of one that is gone, not a
// unique local one.
func TestRFC8415_19_1_1_LinkAddressFollows(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	r.wantLinkAddress(c, "d1", lab.LinkAddress(1))
	change := func(format string, args ...any) {
		t.Helper()
		_, err := r.Relay.IP(format, args...)
		need(t, err)
	}
	change("-6 addr add fd00:1::1/64 dev d1 nodad")
	change("-6 addr del %s/64 dev d1", lab.LinkAddress(1))
	change("-6 addr add 2001:db8:9::9/64 dev d1 nodad")
	r.wantLinkAddress(c, "d1", netip.MustParseAddr("2001:db8:9::9"))
	p := pfx("2001:db8:1100::/56")
	r.grant(1, long(p))
	r.obtain(c, 1)
	r.wantRoute(p, 1)
}

// RFC 8415 section 19.1.1: a global address before a unique local one before a
// link-local one, which is the last resort.
func TestRFC8415_19_1_1_BetterLinkAddresses(t *testing.T) {
	parallel(t)
	r := build(t, lab.Plan{Clients: 1})
	r.do("-6 addr del %s/64 dev d1", lab.LinkAddress(1))
	need(t, r.relay.Start())
	c := r.client(1)
	own, err := r.Relay.LinkLocal("d1")
	need(t, err)
	r.wantLinkAddress(c, "d1", own.WithZone(""))
	r.do("-6 addr add fd00:1::1/64 dev d1 nodad")
	r.wantLinkAddress(c, "d1", netip.MustParseAddr("fd00:1::1"))
	r.do("-6 addr add %s/64 dev d1 nodad", lab.LinkAddress(1))
	r.wantLinkAddress(c, "d1", lab.LinkAddress(1))
}

// The filter's on-link prefixes follow too.
func TestRFC8987_R3_OnLinkPrefixesFollow(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	g := watch(r, 1)
	g.passes("2001:db8:1::77")
	g.stops(spoofed, "2001:db8:9::77")
	_, err := r.Relay.IP("-6 addr add 2001:db8:9::9/64 dev d1 nodad")
	need(t, err)
	until(t, "the new on-link prefix is permitted", func() bool { return len(r.Permitted(`"2001:db8:9::"`)) > 0 })
	g.passes("2001:db8:9::77")
	_, err = r.Relay.IP("-6 addr del 2001:db8:9::9/64 dev d1")
	need(t, err)
	until(t, "it is not any more", func() bool { return len(r.Permitted(`"2001:db8:9::"`)) == 0 })
	g.stops(spoofed, "2001:db8:9::77")
}

// renamed is the standard configuration for d1 and for the name that it gets.
func renamed(top *lab.Topology) string {
	return strings.ReplaceAll(standard(top), `"d*"`, "[d1, wan1]")
}

// permittedOn are the filter elements of a prefix on a link.
func (r *rig) permittedOn(link string, p netip.Prefix) (found []string) {
	r.t.Helper()
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
	parallel(t)
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 1})
	need(t, err)
	r := buildOn(t, top, renamed(top))
	need(t, r.relay.Start())
	p, next := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	c, _ := r.delegate(1, p)
	r.wantRoute(p, 1)
	hop, err := r.Client(1).LinkLocal("c0")
	need(t, err)
	monitor, err := r.Relay.Start(lab.Command{Name: "monitor", Args: []string{"ip", "-6", "monitor", "route"}})
	need(t, err)
	seen := func(mark string) {
		t.Helper()
		until(t, "the monitor shows "+mark, func() bool {
			_, err := r.Relay.IP("-6 route replace unreachable %s metric 77", mark)
			need(t, err)
			return strings.Contains(monitor.Log(), mark)
		})
	}
	seen("2001:db8:aaaa::/64")

	r.server.Become(func(script.Request) [][]byte { return nil })
	request := c.Message(dhcp6.Rebind, script.IAPD(2))
	need(t, c.Send(request))
	asked, err := r.server.Wait(patience, "the Rebind", func(q script.Request) bool { return bytes.Equal(q.Inner, request) })
	need(t, err)
	_, err = r.Relay.IP("link set d1 name wan1")
	need(t, err)
	until(t, "the filter knows the new name alone", func() bool {
		return len(r.permittedOn("wan1", p)) > 0 && len(r.permittedOn("d1", p)) == 0
	})
	r.grant(1, long(p))
	r.grant(2, long(next))
	r.server.Become(r.book.answers().Answer)
	for _, answer := range r.book.answers().Answer(asked) {
		need(t, r.server.Send(asked.From, answer))
	}
	if got, err := c.Receive(patience); err != nil || !bytes.Equal(got.Data[1:4], request[1:4]) {
		t.Errorf("the answer that was under way: %x, %v", got.Data, err)
	}
	r.WantRouteVia(p, hop.String(), "wan1")
	r.WantRouteVia(next, hop.String(), "wan1")

	_, err = r.Relay.IP("link set wan1 name d1")
	need(t, err)
	until(t, "the filter knows the first name again", func() bool {
		return len(r.permittedOn("d1", next)) > 0 && len(r.permittedOn("wan1", next)) == 0
	})
	r.wantRoute(p, 1)
	r.wantRoute(next, 1)
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
	parallel(t)
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 1})
	need(t, err)
	r := buildOn(t, top, renamed(top))
	need(t, r.server.Close())
	_, err = peer.StartServer(r.Server, peer.Kea, peer.ServerConfig{Timers: peer.LongTimers})
	need(t, err)
	need(t, r.relay.Start())
	hop, err := r.Client(1).LinkLocal("c0")
	need(t, err)
	c := r.client(1)
	reply := r.obtain(c, 1)
	held := script.Delegations(reply)
	if len(held) != 1 {
		t.Fatalf("Kea gave %v, want one prefix", held)
	}
	p := held[0].Prefix
	r.wantRoute(p, 1)
	_, err = r.Relay.IP("link set d1 name wan1")
	need(t, err)
	r.renew(c, reply)
	until(t, "the filter knows the new name", func() bool { return len(r.permittedOn("wan1", p)) > 0 })
	r.WantRouteVia(p, hop.String(), "wan1")
	need(t, r.relay.Stop())
	need(t, r.relay.Start())
	r.WantRouteVia(p, hop.String(), "wan1")
	if got, err := r.relay.CLI("delegations", "--link", "wan1"); err != nil || !strings.Contains(got, p.String()) {
		t.Errorf("delegations of wan1 after the restart: %v\n%s", err, got)
	}
}

// Interfaces that a glob matches are served as they appear, at whatever state:
// after the start, down at the start, and without an address yet.
func TestLinksComeLater(t *testing.T) {
	cable := func(t *testing.T, r *rig, commands ...string) *lab.Node {
		t.Helper()
		node, err := r.Node("late")
		need(t, err)
		for _, c := range append([]string{"link add name d77 type veth peer name c0 netns " + node.Namespace}, commands...) {
			_, err := r.Relay.IP("%s", c)
			need(t, err)
		}
		_, err = node.IP("link set c0 up")
		need(t, err)
		return node
	}
	served := func(t *testing.T, r *rig, node *lab.Node) {
		t.Helper()
		p := pfx("2001:db8:7700::/56")
		r.grant(7, long(p))
		next, err := node.LinkLocal("c0")
		need(t, err)
		var c *script.Client
		until(t, "the client's address is usable", func() bool {
			c, err = script.StartClient(node, script.ClientConfig{DUID: duid(77)})
			return err == nil
		})
		r.obtain(c, 7)
		r.WantRouteVia(p, next.String(), "d77")
	}
	t.Run("after the start", func(t *testing.T) {
		parallel(t)
		r := start(t, lab.Plan{})
		served(t, r, cable(t, r, "link set d77 up", "-6 addr add 2001:db8:77::1/64 dev d77 nodad"))
	})
	t.Run("down at the start", func(t *testing.T) {
		parallel(t)
		r := build(t, lab.Plan{})
		node := cable(t, r)
		need(t, r.relay.Start())
		_, err := r.Relay.IP("link set d77 up")
		need(t, err)
		need(t, r.Relay.Address("d77", "2001:db8:77::1/64"))
		served(t, r, node)
	})
	t.Run("no address at the start", func(t *testing.T) {
		parallel(t)
		r := build(t, lab.Plan{}, "unnumbered: u0")
		node := cable(t, r, "link set d77 addrgenmode none", "link set d77 up")
		need(t, r.relay.Start())
		need(t, r.Relay.Address("d77", "fe80::77/64"))
		var c *script.Client
		until(t, "the client's address is usable", func() (ok bool) {
			var err error
			c, err = script.StartClient(node, script.ClientConfig{DUID: duid(77)})
			return err == nil
		})
		r.wantLinkAddress(c, "d77", lab.RelayAddress) // unnumbered: borrowed
		need(t, c.Close())
		served(t, r, node)
	})
	t.Run("gone and back under another index", func(t *testing.T) {
		parallel(t)
		r := start(t, lab.Plan{})
		node := cable(t, r, "link set d77 up", "-6 addr add 2001:db8:77::1/64 dev d77 nodad")
		served(t, r, node)
		_, err := r.Relay.IP("link del d77")
		need(t, err)
		r.WantStandIn(pfx("2001:db8:7700::/56"))
		for _, c := range []string{"link add name d77 type veth peer name c0 netns " + node.Namespace, "link set d77 up"} {
			_, err := r.Relay.IP("%s", c)
			need(t, err)
		}
		_, err = node.IP("link set c0 up")
		need(t, err)
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
	parallel(t)
	r := build(t, lab.Plan{})
	farm, err := r.Node("farm")
	need(t, err)
	need(t, farm.Sysctl("net/ipv6/conf/default/accept_dad", "0"))
	var ours, theirs []string
	for i := 1; i <= links; i++ {
		ours = append(ours,
			fmt.Sprintf("link add name d%d type veth peer name c%d netns %s", i, i, farm.Namespace),
			fmt.Sprintf("link set d%d up", i), fmt.Sprintf("addr add %s/64 dev d%d nodad", lab.LinkAddress(i), i))
		theirs = append(theirs, fmt.Sprintf("link set c%d up", i))
		r.grantOn(lab.LinkAddress(i), 1, long(pfx("2001:db8:%x::/48", 0x1000+i)))
	}
	need(t, r.Relay.Batch(ours[:len(ours)/2]...)) // some are there at the start, some come later
	need(t, r.relay.Start())
	need(t, r.Relay.Batch(ours[len(ours)/2:]...))
	need(t, farm.Batch(theirs...))

	var all sync.WaitGroup
	failed := make(chan error, links)
	for i := 1; i <= links; i++ {
		all.Go(func() {
			failed <- obtainOn(farm, i)
		})
	}
	all.Wait()
	for range links {
		need(t, <-failed)
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
	need(t, r.relay.Kill())
	_, err = r.Relay.IP("-6 route flush proto 87")
	need(t, err)
	need(t, r.relay.Start())
	if n := wrong(); n > 0 {
		t.Errorf("%d of %d links have no route when the relay is ready again", n, links)
	}
}

// obtainOn gets a prefix for a client on one of the farm's links, all of which
// have the same DUID and IAID.
func obtainOn(farm *lab.Node, number int) error {
	name := fmt.Sprintf("c%d", number)
	var c *script.Client
	err := lab.Until(patience, name+" is usable", func() (ok bool) {
		var err error
		c, err = script.StartClient(farm, script.ClientConfig{Interface: name, DUID: duid(1)})
		return err == nil
	})
	if err != nil {
		return err
	}
	defer c.Close()
	reply, err := c.Obtain(patience, 1)
	if err != nil {
		return err
	}
	if got, want := held(reply), pfx("2001:db8:%x::/48", 0x1000+number); len(got) != 1 || got[0] != want {
		return fmt.Errorf("%s holds %v, want %s", name, got, want)
	}
	return nil
}

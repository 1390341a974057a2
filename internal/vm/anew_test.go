//go:build vm

package vm_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

// The VRF devices of a client and of a server are deleted and made anew: the
// sockets that were bound to the old ones hear nothing any more.
func TestVRFMadeAnew(t *testing.T) {
	r := vrfs(t)
	const prefix = "2001:db8:8000::/56"
	client, server := r.client(3), r.servers[2]
	server.Become(grants{linkAddress(3): prefix}.answer)
	reply := obtains(t, client, prefix)
	anew := func(name string, table int, link, address string) []string {
		return []string{
			"link del " + name,
			fmt.Sprintf("link add %s type vrf table %d", name, table),
			"link set " + name + " up",
			"link set " + link + " master " + name,
			"addr replace " + address + "/64 dev " + link + " nodad",
		}
	}
	for _, lines := range [][]string{
		anew("green", green, "d3.30", linkAddress(3)),
		anew("blue", blue, "u2", near(2)),
	} {
		r.Fairlead.Asleep(func() { r.node.Batch(lines...) })
		r.becomesRouted(green, prefix, client, "d3.30")
		r.becomes(main, prefix, "")
		reply = client.Renew(reply)
		holds(t, reply, prefix)
		// In fragments it is heard by the socket.
		client.Exchange(client.Message(dhcp6.Rebind, tooLong()))
	}
	r.releases(client, reply, green, prefix)
}

// A link is deleted and made anew with its old index. What the kernel held for
// the old one, such as the membership of the relays' group, is gone.
func TestLinkMadeAnewWithItsIndex(t *testing.T) {
	r := vrfs(t)
	client := r.client(3)
	r.servers[1].Become(grants{}.answer)
	was := r.node.Interface("d3.30")
	r.Fairlead.Asleep(func() {
		r.node.Batch(
			"link del d3.30",
			fmt.Sprintf("link add link d3 name d3.30 index %d type vlan id 30", was.Index),
			"link set d3.30 master green",
			"link set d3.30 up",
			"addr replace "+linkAddress(3)+"/64 dev d3.30 nodad")
	})
	client.Exchange(client.Message(dhcp6.Rebind, tooLong()))
	if out := r.node.IP("-6 maddr show dev d3.30"); !strings.Contains(out, "ff02::1:2") {
		t.Errorf("d3.30 is not in the relays' group:\n%s", out)
	}
}

// tooLong is an option that makes a message too long for one packet.
func tooLong() []byte { return dhcp6.AppendOption(nil, 65001, make([]byte, 3000)) }

// A VLAN of a VRF is made anew, and is outside the VRF for a moment. There its
// client's prefix is another client's, whose route stays as it is.
func TestLinkBornOutsideItsVRF(t *testing.T) {
	r := vrfs(t)
	const prefix = "2001:db8:9000::/56"
	outside, inside := r.client(2), r.client(3)
	r.servers[1].Become(grants{linkAddress(2): prefix, linkAddress(3): prefix}.answer)
	replyOutside := obtains(t, outside, prefix)
	replyInside := obtains(t, inside, prefix)
	changes := r.node.Start("monitor", "ip", "-6", "-N", "monitor", "route")

	r.node.Batch("link del d3.30")
	r.becomes(green, prefix, standIn(prefix))
	vlan(r.node, "d3", 30)
	r.becomes(green, prefix, "")
	r.routed(main, prefix, outside, "d2")
	r.enslave("d3.30", "green", linkAddress(3)+"/64")
	r.becomesRouted(green, prefix, inside, "d3.30")
	r.routed(main, prefix, outside, "d2")
	r.Need(changes.Stop())
	for line := range strings.Lines(changes.Log()) {
		if strings.Contains(line, prefix) && !strings.Contains(line, "table 200") {
			t.Errorf("outside the VRF: %s", line)
		}
	}
	r.releases(inside, replyInside, green, prefix)
	r.releases(outside, replyOutside, main, prefix)
}

// A glob that matches everything matches the loopback device and those of the
// VRFs, too. What comes from this host, and what comes in by a VRF, passes.
func TestGlobOfEverything(t *testing.T) {
	r := vrfs(t)
	text := r.Fairlead.Text()
	t.Cleanup(func() { r.Fairlead.Reload(text) })
	r.Fairlead.Reload(strings.Replace(text, "match: [d*, ppp*]", "match: \"*\"", 1))
	const prefix, source = "2001:db8:b000::/56", "2001:db8:b000::1"
	client := r.client(1)
	r.nodes[1].Address("lo", source+"/128")
	r.servers[1].Become(grants{linkAddress(1): prefix}.answer)
	reply := obtains(t, client, prefix)
	for what, ping := range map[string]func() error{
		"the client reaches the far end": func() error { return r.nodes[1].Ping(netip.MustParseAddr(source), netip.MustParseAddr(beyond(3))) },
		"the relay node reaches itself":  func() error { return r.node.Ping(netip.Addr{}, netip.IPv6Loopback()) },
	} {
		r.Until(what, func() bool { return ping() == nil })
	}
	r.releases(client, reply, red, prefix)
}

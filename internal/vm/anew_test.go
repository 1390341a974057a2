//go:build vm

package vm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

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
		r.asleep(func() { need(t, r.node.Batch(lines...)) })
		r.becomesRouted(green, prefix, client, "d3.30")
		r.becomes(main, prefix, "")
		var err error
		reply, err = client.Renew(patience, reply)
		need(t, err)
		holds(t, reply, prefix)
		// In fragments it is heard by the socket.
		_, err = client.Exchange(patience, client.Message(dhcp6.Rebind, tooLong()))
		need(t, err)
	}
	r.releases(client, reply, green, prefix)
}

// A link is deleted and made anew with its old index. What the kernel held for
// the old one, such as the membership of the relays' group, is gone.
func TestLinkMadeAnewWithItsIndex(t *testing.T) {
	r := vrfs(t)
	client := r.client(3)
	r.servers[1].Become(grants{}.answer)
	was, err := r.node.Interface("d3.30")
	need(t, err)
	r.asleep(func() {
		need(t, r.node.Batch(
			"link del d3.30",
			fmt.Sprintf("link add link d3 name d3.30 index %d type vlan id 30", was.Index),
			"link set d3.30 master green",
			"link set d3.30 up",
			"addr replace "+linkAddress(3)+"/64 dev d3.30 nodad"))
	})
	_, err = client.Exchange(20*time.Second, client.Message(dhcp6.Rebind, tooLong()))
	need(t, err)
	out, err := r.node.Run("ip", "-6", "maddr", "show", "dev", "d3.30")
	need(t, err)
	if !strings.Contains(out, "ff02::1:2") {
		t.Errorf("d3.30 is not in the relays' group:\n%s", out)
	}
}

// tooLong is an option that makes a message too long for one packet.
func tooLong() []byte { return dhcp6.AppendOption(nil, 65001, make([]byte, 3000)) }

package traffic_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// reconfigure is a Relay-reply with a Reconfigure for a client, which has the
// number told.
func (r *rig) reconfigure(c *script.Client, number int, mark byte) (datagram, message []byte) {
	message = c.Message(dhcp6.Reconfigure, script.ServerID(script.DefaultServerDUID), raw(19, 5), raw(40000, mark))
	head := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, lab.LinkAddress(number), c.Source.Addr().WithZone(""))
	return join(head, raw(dhcp6.OptionInterfaceID, []byte(r.Downlink(number))...), raw(dhcp6.OptionRelayMessage, message...)), message
}

// met are the neighbours of the relay on a link with whom it has spoken by socket.
func (r *rig) met(link string) string {
	r.t.Helper()
	out, err := r.Relay.IP("-6 neigh show dev %s", link)
	need(r.t, err)
	return out
}

// A relay that has just been started has heard of no link-layer address: what a
// server says to a client then goes by socket, and so by the kernel's neighbour
// table. As soon as the client has spoken, it is answered by frame.
func TestReconfigureAfterARestart(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			r := start(t, lab.Plan{Clients: 1, Access: access})
			c, reply := r.delegate(1, pfx("2001:db8:1100::/56"))
			need(t, r.relay.Kill())
			need(t, r.relay.Start())
			next := c.Source.Addr().WithZone("").String()
			_, err := r.Relay.IP("-6 neigh flush dev %s", r.Downlink(1))
			need(t, err)
			to := netip.AddrPortFrom(lab.RelayAddress, dhcp6.ServerPort)
			for mark := range byte(3) {
				datagram, message := r.reconfigure(c, 1, mark)
				need(t, r.server.Send(to, datagram))
				got, err := c.Receive(patience)
				if err != nil || !bytes.Equal(got.Data, message) {
					t.Errorf("the client got %x (%v), want %x", got.Data, err, message)
				}
			}
			if access == lab.PPP {
				return
			}
			if !strings.Contains(r.met(r.Downlink(1)), next) {
				t.Errorf("%s is in no neighbour table: the message did not go by socket", next)
			}
			// What goes through the neighbour table now would get lost.
			_, err = r.Relay.IP("-6 neigh replace %s lladdr 02:00:00:00:00:99 dev %s nud permanent", next, r.Downlink(1))
			need(t, err)
			r.renew(c, reply)
			datagram, message := r.reconfigure(c, 1, 9)
			need(t, r.server.Send(to, datagram))
			got, err := c.Receive(patience)
			if err != nil || !bytes.Equal(got.Data, message) {
				t.Errorf("the client got %x (%v), want %x", got.Data, err, message)
			}
		})
	}
}

// One bad destination in a burst stops none of the others: what is for a client
// whose link is down, or for one that never was, is lost, counted, and alone.
func TestOneBadDestinationInABurst(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 2})
	c, _ := r.delegate(1, pfx("2001:db8:1100::/56"))
	gone, _ := r.delegate(2, pfx("2001:db8:1200::/56"))
	_, err := r.Relay.IP("link set d2 down")
	need(t, err)
	until(t, "the relay knows that d2 is down", func() bool {
		var link struct{ Up bool }
		r.cli(&link, "links", "d2")
		return !link.Up
	})
	const burst = 60
	var want [][]byte
	to := netip.AddrPortFrom(lab.RelayAddress, dhcp6.ServerPort)
	// A link that is down may have lost its link-local address already.
	lost := func() int { return r.drops("d2")["send-failed"] + r.drops("u0")["no-link-local"] }
	before := lost()
	for i := range byte(burst) {
		good, message := r.reconfigure(c, 1, i)
		want = append(want, message)
		bad, _ := r.reconfigure(gone, 2, i)
		need(t, r.server.Send(to, good))
		need(t, r.server.Send(to, bad))
	}
	for i, message := range want {
		got, err := c.Receive(patience)
		if err != nil || !bytes.Equal(got.Data, message) {
			t.Fatalf("%d: the client got %x (%v), want %x", i, got.Data, err, message)
		}
	}
	until(t, "each lost one is counted", func() bool { return lost() == before+burst })
}

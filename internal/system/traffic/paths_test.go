package traffic_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// reconfigure is a Relay-reply with a Reconfigure for a client, which has the
// number told.
func (r *network) reconfigure(c *rig.Client, number int, mark byte) (datagram, message []byte) {
	message = c.Message(dhcp6.Reconfigure, script.ServerID(script.DefaultServerDUID), script.Option(19, 5), script.Option(40000, mark))
	head := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, lab.LinkAddress(number), c.Own())
	return slices.Concat(head, script.Option(dhcp6.OptionInterfaceID, []byte(r.Downlink(number))...), script.Option(dhcp6.OptionRelayMessage, message...)), message
}

// met are the neighbours of the relay on a link with whom it has spoken by socket.
func (r *network) met(link string) string {
	r.T.Helper()
	out := r.Relay.IP("-6 neigh show dev %s", link)
	return out
}

// A relay that has just been started has heard of no link-layer address: what a
// server says to a client then goes by socket, and so by the kernel's neighbour
// table. As soon as the client has spoken, it is answered by frame.
func TestReconfigureAfterARestart(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access})
			c, reply := r.delegate(1, pfx("2001:db8:1100::/56"))
			r.Fairlead.Restart()
			next := c.Own().String()
			r.Relay.IP("-6 neigh flush dev %s", r.Downlink(1))
			for mark := range byte(3) {
				datagram, message := r.reconfigure(c, 1, mark)
				r.Played.Send(rig.ToRelay, datagram)
				c.Gets(message)
			}
			if access == lab.PPP {
				return
			}
			if !strings.Contains(r.met(r.Downlink(1)), next) {
				t.Errorf("%s is in no neighbour table: the message did not go by socket", next)
			}
			// What goes through the neighbour table now would get lost.
			r.Relay.IP("-6 neigh replace %s lladdr 02:00:00:00:00:99 dev %s nud permanent", next, r.Downlink(1))
			c.Renew(reply)
			datagram, message := r.reconfigure(c, 1, 9)
			r.Played.Send(rig.ToRelay, datagram)
			c.Gets(message)
		})
	}
}

// One bad destination in a burst stops none of the others: what is for a client
// whose link is down, or for one that never was, is lost, counted, and alone.
func TestOneBadDestinationInABurst(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2})
	c, _ := r.delegate(1, pfx("2001:db8:1100::/56"))
	gone, _ := r.delegate(2, pfx("2001:db8:1200::/56"))
	r.Relay.IP("link set d2 down")
	r.Until("the relay knows that d2 is down", func() bool {
		var link struct{ Up bool }
		r.Fairlead.ShowLink(&link, "d2")
		return !link.Up
	})
	const burst = 60
	var want [][]byte
	// A link that is down may have lost its link-local address already.
	lost := func() int {
		return r.Fairlead.Counts("d2").Drops["send-failed"] + r.Fairlead.Counts("u0").Drops["no-link-local"]
	}
	before := lost()
	for i := range byte(burst) {
		good, message := r.reconfigure(c, 1, i)
		want = append(want, message)
		bad, _ := r.reconfigure(gone, 2, i)
		r.Played.Send(rig.ToRelay, good)
		r.Played.Send(rig.ToRelay, bad)
	}
	for _, message := range want {
		c.Gets(message)
	}
	r.Until("each lost one is counted", func() bool { return lost() == before+burst })
}

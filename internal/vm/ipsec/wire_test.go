//go:build vm

package ipsec_test

import (
	"net"
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/protected"
)

// intruderMAC marks the frames that tests put on the wire, so that they are not
// taken for those of the two ends.
const intruderMAC = "02:00:00:00:66:66"

// intruder puts frames on the wire towards either end.
type intruder struct {
	toRelay, toServer *labtest.Thrower
}

// packet is a datagram in clear, as if from the other end.
func (i *intruder) packet(x *labtest.Thrower, from, to netip.AddrPort, payload []byte) []byte {
	mac, err := net.ParseMAC(intruderMAC)
	if err != nil {
		panic(err)
	}
	return x.Packet(mac, x.Peer, from, to, payload)
}

// record records what passes a link, intruders left out.
func record(t *testing.T, d *lab.Node, link string) *protected.Wire {
	t.Helper()
	return protected.Record(t, d, link, "not arp and not ether src "+intruderMAC)
}

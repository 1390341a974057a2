//go:build vm

package ipsec_test

import (
	"net"
	"net/netip"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/protected"
	"fairlead/internal/system/rig"
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
func record(h *rig.Host, link string) *protected.Wire {
	h.Net.T.Helper()
	return protected.Record(h, link, "not arp and not ether src "+intruderMAC)
}

package attack_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// Many DUIDs are used from one link-layer address: this host gets its share of the link's limit,
// and its neighbours get theirs.
func TestOneHostAsksForAll(t *testing.T) {
	r := withKea(t, "limits: {client: 2, link: 8, per-mac: 4}")
	own := r.Client(2).LinkLocal("c0").String()
	r.dropped(shared, "limit", 16, func() {
		for i := range 20 {
			c := r.Client(2).Play(rig.DUID(100 + i))
			advertise := c.Exchange(c.Message(dhcp6.Solicit, script.IAPD(iaid)))
			request := c.Message(dhcp6.Request, serverID(advertise), script.IAPD(iaid))
			if i < 4 {
				c.Exchange(request)
			} else {
				c.Send(request)
				c.Passed()
			}
			c.Close()
		}
	})
	v := r.victim()
	v.Unmoved()
	mine := 0
	for _, one := range r.Routes() {
		if one.Gateway == own {
			mine++
		}
	}
	if mine != 4 {
		t.Errorf("%d routes to the host with many names, want 4", mine)
	}
	r.far.Play(rig.DUID(7)).Obtain(iaid)
}

// The same with a server that grants in answer to the Solicit (Rapid Commit), and with as many
// link-layer addresses as DUIDs. The link's limit holds, and each client keeps what it has. That
// new clients find the limit of the link used up, only the switch can prevent, because only the
// switch knows that all of this is one port.
func TestOneHostWithManyLinkLayerAddresses(t *testing.T) {
	r := withServer(t, numbered, "limits: {client: 2, link: 8, per-mac: 4}")
	v := r.victim()
	x := r.Client(2).Throw("c0", r.Relay, shared)
	rapid := script.Option(dhcp6.OptionRapidCommit)
	solicit := func(i int) []byte {
		m := dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, uint32(i))
		return slices.Concat(dhcp6.AppendClientID(m, rig.DUID(100+i)), rapid, script.IAPD(iaid))
	}
	count := func() int { return r.refused()["limit-link"] }
	r.Rises(count, "limit-link", 40-7, func() {
		for i := range 40 {
			source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: 1, 15: byte(i)})
			x.ToRelays(net.HardwareAddr{2, 0x66, 0, 0, 0, byte(i)}, source, solicit(i))
		}
	})
	if got := len(r.Routed()); got != 8 {
		t.Errorf("%d routes, want 8: the victim's and 7", got)
	}
	v.Unmoved()

	// From one link-layer address the host gets its share.
	far := r.far.Throw("c0", r.Relay, other)
	r.Rises(func() int { return r.refused()["limit-host"] }, "limit-host", 8-4, func() {
		for i := range 8 {
			source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: 2, 15: byte(i)})
			far.ToRelays(far.Own, source, solicit(60+i))
		}
	})
}

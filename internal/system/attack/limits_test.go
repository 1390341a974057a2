package attack_test

import (
	"net"
	"net/netip"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

// Many DUIDs from one link-layer address: the host gets its share of the link's
// limit, and its neighbours get theirs.
func TestOneHostAsksForAll(t *testing.T) {
	parallel(t)
	r := withKea(t, "limits: {client: 2, link: 8, per-mac: 4}")
	own := r.local(r.Client(2), "c0").String()
	r.dropped(shared, "limit", 16, func() {
		for i := range 20 {
			c := r.client(r.Client(2), duid(100+i))
			advertise, err := c.Exchange(patience, c.Message(dhcp6.Solicit, iapd(iaid)))
			need(t, err)
			request := c.Message(dhcp6.Request, serverID(advertise), iapd(iaid))
			if i < 4 {
				_, err = c.Exchange(patience, request)
				need(t, err)
			} else {
				need(t, c.Send(request))
				passed(r.t, c)
			}
			c.Close()
		}
	})
	v := r.victim()
	v.unmoved()
	mine := 0
	for _, one := range r.Routes() {
		if one.Gateway == own {
			mine++
		}
	}
	if mine != 4 {
		t.Errorf("%d routes to the host with many names, want 4", mine)
	}
	_, err := r.client(r.far, duid(7)).Obtain(patience, iaid)
	need(t, err)
}

// The same with a server that grants at the first word (Rapid Commit), and with
// as many link-layer addresses as names. The link's limit holds, and whoever has
// something keeps it; that newcomers find the link full is for the switch to
// prevent, which alone knows that it is all one port.
func TestOneHostWithManyLinkLayerAddresses(t *testing.T) {
	parallel(t)
	r := withServer(t, numbered, "limits: {client: 2, link: 8, per-mac: 4}")
	v := r.victim()
	x := r.throw(r.Client(2), "c0", shared)
	rapid := option(dhcp6.OptionRapidCommit)
	solicit := func(i int) []byte {
		m := dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, uint32(i))
		return join(dhcp6.AppendClientID(m, duid(100+i)), rapid, iapd(iaid))
	}
	count := func() int { return r.refused()["limit-link"] }
	r.rises(count, "limit-link", 40-7, func() {
		for i := range 40 {
			source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: 1, 15: byte(i)})
			x.ToRelays(net.HardwareAddr{2, 0x66, 0, 0, 0, byte(i)}, source, solicit(i))
		}
	})
	if got := len(r.Routed()); got != 8 {
		t.Errorf("%d routes, want 8: the victim's and 7", got)
	}
	v.unmoved()

	// From one link-layer address it gets its share.
	far := r.throw(r.far, "c0", other)
	r.rises(func() int { return r.refused()["limit-host"] }, "limit-host", 8-4, func() {
		for i := range 8 {
			source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: 2, 15: byte(i)})
			far.ToRelays(far.Own, source, solicit(60+i))
		}
	})
}

package relay6_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/traffic"
	"fairlead/internal/wire/dhcp6"
)

// The figures of the whole process are those of all links together, uplinks and
// unknown interfaces included, and do not go back when a link goes away.
func TestSumOfAllLinks(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.says(alice, message(dhcp6.Reply, 1))                                                                                // what only servers send
	w.packet(inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(addr("2001:db8:66::1"), 547), Payload: []byte{13}}) // no server of ours
	w.packet(inbound.Packet{Link: 99, Source: netip.AddrPortFrom(addr("fe80::99"), 546), Payload: []byte{1}})
	w.core.CountDrop(lan1Index, effect.DropQueueFull, 5)
	w.core.RemoveLink("lan0", &w.eff)
	w.carryOut()

	sum := w.core.Totals().Traffic.Counts
	var want traffic.Counts
	want.Received[dhcp6.Request], want.Received[dhcp6.Reply] = 1, 1
	want.Sent[dhcp6.Reply] = 1
	want.Drops[effect.DropServerMessage], want.Drops[effect.DropUntrustedServer], want.Drops[effect.DropUnknownLink], want.Drops[effect.DropQueueFull] = 1, 1, 1, 5
	if sum != want {
		t.Errorf("sum %+v, want %+v", sum, want)
	}
	for _, l := range w.core.Links() {
		if l.Name == "up0" && l.Counters.Drops[effect.DropUntrustedServer] != 1 {
			t.Errorf("the uplink counts %+v", l.Counters.Drops)
		}
	}
}

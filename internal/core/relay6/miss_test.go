package relay6_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// A client whose address the bounded cache has lost, here to very many others, is
// answered by socket, and by frame again once it has spoken.
func TestCacheMissIsAnsweredBySocket(t *testing.T) {
	w := newWorld(t)
	solicit := message(dhcp6.Solicit, 1, clientID(alice.duid))
	advertise := w.answer(w.says(alice, solicit)[0].Payload, message(dhcp6.Advertise, 1, clientID(alice.duid)))
	answered := func() linkaddr.Addr {
		t.Helper()
		got := w.serves(advertise)
		if len(got) != 1 || got[0].Link != lan0Index || got[0].Dest.Addr() != addr(alice.addr) {
			t.Fatalf("the answer is %+v", got)
		}
		return got[0].LinkLayer
	}
	if got := answered(); got != alice.mac {
		t.Fatalf("before: answered at %s, want %s", got, alice.mac)
	}
	const others = 1 << 17
	var eff effect.Effects
	for i := range uint32(others) {
		a := [16]byte{0: 0xfe, 1: 0x80, 2: 1}
		binary.BigEndian.PutUint32(a[12:], i)
		eff.Reset()
		w.core.Handle(w.now, &inbound.Packet{
			Link: lan0Index, Source: netip.AddrPortFrom(netip.AddrFrom16(a), 546), Dest: addr("ff02::1:2"),
			LinkLayer: linkaddr.From(a[10:]), HardwareType: 1, Payload: solicit,
		}, &eff)
	}
	if got := answered(); got.IsValid() {
		t.Errorf("after %d others: answered at %s, want by socket", others, got)
	}
	w.says(alice, solicit)
	if got := answered(); got != alice.mac {
		t.Errorf("heard again: answered at %s, want %s", got, alice.mac)
	}
}

package links

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"fairlead/internal/wire/linkaddr"
)

// Made-up addresses, however many, do not push out one that is heard now and then,
// and take bounded memory.
func TestNeighboursSurviveMadeUpAddresses(t *testing.T) {
	n := NewNeighbours()
	mac := func(i uint32) linkaddr.Addr {
		return linkaddr.From(binary.BigEndian.AppendUint32([]byte{2, 0xfa}, i))
	}
	address := func(i uint32) netip.Addr {
		a := [16]byte{0: 0xfe, 1: 0x80}
		binary.BigEndian.PutUint32(a[12:], i)
		return netip.AddrFrom16(a)
	}
	const client = 7
	n.Learn(1, 1, address(client), mac(client))
	for i := range uint32(5 * maxNeighbours) {
		if i%(maxNeighbours/4) == 0 {
			n.Learn(1, 1, address(client), mac(client))
		}
		n.Learn(1, 1, address(1000+i), mac(1000+i))
		if got := n.Lookup(1, 1, address(client)); got != mac(client) {
			t.Fatalf("after %d made-up addresses the client is at %s, want %s", i+1, got, mac(client))
		}
		if n.Len() > maxNeighbours {
			t.Fatalf("%d addresses remembered, want %d at most", n.Len(), maxNeighbours)
		}
	}
	if got := n.Lookup(1, 1, address(1000)); got.IsValid() {
		t.Errorf("the first of them is still at %s", got)
	}
}

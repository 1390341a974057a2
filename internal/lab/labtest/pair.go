package labtest

import (
	"testing"

	"fairlead/internal/lab"
)

// Pair returns two hosts that a cable joins, each with the name of its end. They have only the
// addresses that the kernel makes.
func Pair(t testing.TB, nameA, endA, nameB, endB string) (a, b *lab.Node) {
	t.Helper()
	n := lab.ForTest(t)
	a, err := n.Node(nameA)
	Need(t, err)
	b, err = n.Node(nameB)
	Need(t, err)
	Need(t, n.Veth(a, endA, b, endB))
	return a, b
}

// Cable returns a Pair: the clients that a test plays are on c0 of the first, and a server is on
// s0 of the second, which has 2001:db8:1::1/64 and whose addresses are ready for use.
func Cable(t testing.TB) (clients, server *lab.Node) {
	t.Helper()
	clients, server = Pair(t, "c", "c0", "s", "s0")
	Need(t, server.Address("s0", "2001:db8:1::1/64"))
	// A server that finds no usable address there never listens.
	_, err := server.LinkLocal("s0")
	Need(t, err)
	Until(t, "the addresses of s0 can be used", func() bool {
		tentative, err := server.IP("-6 addr show dev s0 tentative")
		return err == nil && tentative == ""
	})
	return clients, server
}

package lab

import (
	"fmt"
	"strings"
)

// Veth joins two nodes with an Ethernet cable; both ends are up.
func (n *Net) Veth(a *Node, nameA string, b *Node, nameB string) error {
	return cable(a, "name "+nameA, b, "name "+nameB)
}

// cable joins two nodes. Each end is a text "name NAME", which "address MAC" may follow.
func cable(a *Node, endA string, b *Node, endB string) error {
	if _, err := a.IP("link add %s type veth peer %s netns %s", endA, endB, b.Namespace); err != nil {
		return err
	}
	nameA, nameB := strings.Fields(endA)[1], strings.Fields(endB)[1]
	if _, err := b.IP("link set %s up", nameB); err != nil {
		return err
	}
	_, err := a.IP("link set %s up", nameA)
	return err
}

// Bridge makes a switch in the node, of interfaces that exist already. It forwards at once, and
// floods multicast.
func (d *Node) Bridge(name string, ports ...string) error {
	lines := []string{
		fmt.Sprintf("link add %s type bridge forward_delay 0 mcast_snooping 0", name),
		fmt.Sprintf("link set %s up", name),
	}
	for _, port := range ports {
		lines = append(lines, fmt.Sprintf("link set %s master %s", port, name))
	}
	return d.Batch(lines...)
}

// Address gives addresses with lengths ("2001:db8:1::1/64") to an interface.
func (d *Node) Address(name string, addresses ...string) error {
	for _, a := range addresses {
		if _, err := d.IP("-6 addr add %s dev %s nodad", a, name); err != nil {
			return err
		}
	}
	return nil
}

// Stub makes an interface that is up, has a carrier and leads nowhere, for instance the home
// network behind a client. (It is a pair whose other end, with a p after its name, is in the same
// node: not every kernel has dummy interfaces, and an empty bridge has no carrier.)
func (d *Node) Stub(name string) error {
	return d.Net.Veth(d, name, d, name+"p")
}

package config

import (
	"fmt"
	"net/netip"
	"slices"

	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

// Family is the family of a role's messages.
type Family uint8

// The families of DHCP.
const (
	DHCPv4 Family = 4
	DHCPv6 Family = 6
)

func (f Family) String() string { return fmt.Sprintf("DHCPv%d", f) }

// version returns the family's version of IP.
func (f Family) version() string { return fmt.Sprintf("IPv%d", f) }

// serverPort returns the port of servers and relay agents.
func (f Family) serverPort() uint16 {
	if f == DHCPv4 {
		return dhcp4.ServerPort
	}
	return dhcp6.ServerPort
}

func (f Family) clientPort() uint16 {
	if f == DHCPv4 {
		return dhcp4.ClientPort
	}
	return dhcp6.ClientPort
}

// familyOf returns the family of DHCP that is spoken with an address.
func familyOf(a netip.Addr) Family {
	if a.Is4() {
		return DHCPv4
	}
	return DHCPv6
}

// PeersOf returns the peers of one family that a role hears, in the order of the file.
func (p *Process) PeersOf(f Family, role string) []trust.Peer { return peersOf(p.Peers, f, role) }

func peersOf(peers []trust.Peer, f Family, role string) []trust.Peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p trust.Peer) bool {
		return familyOf(p.Address) != f || p.HeardBy != "" && p.HeardBy != role
	})
}

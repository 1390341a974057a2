package inject

import (
	"net/netip"

	"fairlead/internal/wire/dhcp4"
)

// local4 is giaddr: servers send their answers there (RFC 2131 section 4.1).
func local4(o *RelayOptions) netip.Addr { return o.LinkAddress }

func head4(*RelayOptions) []byte { return nil }

// wrap4 writes giaddr and hops (RFC 1542 section 4.1.1) and the Agent Circuit ID (RFC 3046).
func wrap4(o *RelayOptions, b []byte, _ int, _ uint32, message int) int {
	m, err := dhcp4.ParseMessage(b[:message])
	if err != nil {
		return message // a broken message stays as it is: its author wants to see what happens to it
	}
	dhcp4.SetHops(b, 1)
	dhcp4.SetGIAddr(b, o.LinkAddress)
	before, _, ok := m.Split()
	if o.InterfaceID == "" || !ok {
		return message
	}
	with, mark := dhcp4.BeginAgentInformation(b[:len(before)])
	with, err = dhcp4.EndAgentInformation(dhcp4.AppendCircuitID(with, []byte(o.InterfaceID)), mark)
	if err != nil {
		panic(err) // cannot happen: OpenRelay has checked that it fits
	}
	return max(message, len(dhcp4.AppendEnd(with, 0)))
}

func unwrap4(datagram []byte) (client uint32, message []byte, ok bool) {
	client, ok = clientIn(datagram)
	return client, datagram, ok
}

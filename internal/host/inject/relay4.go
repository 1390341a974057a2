package inject

import (
	"net/netip"

	"fairlead/internal/wire/dhcp4"
)

// local4 is giaddr: servers answer there (RFC 2131 section 4.1).
func local4(o *RelayOptions) netip.Addr { return o.LinkAddress }

func head4(*RelayOptions) []byte { return nil }

// wrap4 is RFC 1542 section 4.1.1, and RFC 3046 for the Agent Circuit ID.
func wrap4(o *RelayOptions, b []byte, _ int, _ uint32, message int) int {
	m, err := dhcp4.ParseMessage(b[:message])
	if err != nil {
		return message // as it is: whoever wrote it wants to see what becomes of it
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
		panic(err) // OpenRelay has seen that it fits
	}
	return max(message, len(dhcp4.AppendEnd(with, 0)))
}

func unwrap4(datagram []byte) (client uint32, message []byte, ok bool) {
	client, ok = clientIn(datagram)
	return client, datagram, ok
}

package dhcp4_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

func decodeInsomniac(b []byte) (packet, error) {
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		return packet{}, err
	}
	p := packet{
		Op: uint8(m.OpCode), HType: uint8(m.HWType), Hops: m.HopCount, XID: binary.BigEndian.Uint32(m.TransactionID[:]),
		Secs: m.NumSeconds, Flags: m.Flags, CHAddr: m.ClientHWAddr, SName: m.ServerHostName, File: m.BootFileName,
		CI: address(m.ClientIPAddr), YI: address(m.YourIPAddr), SI: address(m.ServerIPAddr), GI: address(m.GatewayIPAddr),
	}
	codes := make([]uint8, 0, len(m.Options))
	for c := range m.Options {
		codes = append(codes, c)
	}
	slices.SortFunc(codes, func(a, b uint8) int { return lastIs82(a) - lastIs82(b) })
	for _, c := range codes {
		v, err := insomniacValue(c, m.Options[c])
		if err != nil {
			return p, err
		}
		p.Options = append(p.Options, option{c, v})
	}
	return p, nil
}

// lastIs82 is the position of a code in the packets that insomniacslk/dhcp writes.
func lastIs82(c uint8) int {
	if c == 82 {
		return 256
	}
	return int(c)
}

func address(ip net.IP) netip.Addr { return netip.AddrFrom4([4]byte(ip.To4())) }

func insomniacValue(c uint8, b []byte) (any, error) {
	switch c {
	case 1, 28, 50, 54:
		var v dhcpv4.IP
		err := v.FromBytes(b)
		return addrValue{address(net.IP(v))}, err
	case 3, 6:
		var v dhcpv4.IPs
		err := v.FromBytes(b)
		list := addrsValue{}
		for _, ip := range v {
			list = append(list, address(ip))
		}
		return list, err
	case 51, 58, 59:
		var v dhcpv4.Duration
		err := v.FromBytes(b)
		return secondsValue(time.Duration(v) / time.Second), err
	case 53:
		var v dhcpv4.MessageType
		err := v.FromBytes(b)
		return typeValue(v), err
	case 82:
		var v dhcpv4.RelayOptions
		if err := v.FromBytes(b); err != nil {
			return nil, err
		}
		var list agentValue
		for c, value := range v.Options {
			list = append(list, pair{int(c), string(value)})
		}
		slices.SortFunc(list, func(a, b pair) int { return a.Code - b.Code })
		return list, nil
	}
	return b, nil
}

func buildInsomniac(p packet) ([]byte, error) {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeType(p.Op), HWType: iana.HWType(p.HType), HopCount: p.Hops, NumSeconds: p.Secs, Flags: p.Flags,
		ClientIPAddr: p.CI.AsSlice(), YourIPAddr: p.YI.AsSlice(), ServerIPAddr: p.SI.AsSlice(), GatewayIPAddr: p.GI.AsSlice(),
		ClientHWAddr: p.CHAddr, ServerHostName: p.SName, BootFileName: p.File, Options: dhcpv4.Options{},
	}
	binary.BigEndian.PutUint32(m.TransactionID[:], p.XID)
	for _, o := range p.Options {
		c := dhcpv4.GenericOptionCode(o.Code)
		var v dhcpv4.OptionValue
		switch value := o.Value.(type) {
		case typeValue:
			v = dhcpv4.MessageType(value)
		case secondsValue:
			v = dhcpv4.Duration(time.Duration(value) * time.Second)
		case addrValue:
			v = dhcpv4.IP(value.AsSlice())
		case addrsValue:
			var list dhcpv4.IPs
			for _, a := range value {
				list = append(list, a.AsSlice())
			}
			v = list
		case agentValue:
			sub := dhcpv4.Options{}
			for _, s := range value {
				sub[uint8(s.Code)] = []byte(s.Payload)
			}
			v = dhcpv4.RelayOptions{Options: sub}
		case []byte:
			v = dhcpv4.OptionGeneric{Data: value}
		}
		m.UpdateOption(dhcpv4.Option{Code: c, Value: v})
	}
	return m.ToBytes(), nil
}

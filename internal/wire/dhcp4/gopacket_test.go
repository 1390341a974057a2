package dhcp4_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// gopacket reads messages and options. The content of the options is read here, by the figures of
// the RFCs, without the package under test.

func decodeGopacket(b []byte) (packet, error) {
	var m layers.DHCPv4
	if err := m.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		return packet{}, err
	}
	p := packet{
		Op: uint8(m.Operation), HType: uint8(m.HardwareType), Hops: m.RelayHops, XID: m.Xid, Secs: m.Secs, Flags: m.Flags,
		CI: address(m.ClientIP), YI: address(m.YourClientIP), SI: address(m.NextServerIP), GI: address(m.RelayAgentIP), CHAddr: m.ClientHWAddr,
	}
	for _, o := range m.Options {
		if o.Type != layers.DHCPOptPad {
			p.Options = append(p.Options, option{uint8(o.Type), valueByHand(uint8(o.Type), o.Data)})
		}
	}
	p.names(m.ServerName, m.File)
	return p, nil
}

func valueByHand(c uint8, b []byte) any {
	switch c {
	case 1, 28, 50, 54:
		return addrValue{netip.AddrFrom4([4]byte(b))}
	case 3, 6:
		list := addrsValue{}
		for at := 0; at < len(b); at += 4 {
			list = append(list, netip.AddrFrom4([4]byte(b[at:])))
		}
		return list
	case 51, 58, 59:
		return secondsValue(binary.BigEndian.Uint32(b))
	case 53:
		return typeValue(b[0])
	case 82:
		list := agentValue{}
		for len(b) > 0 {
			end := 2 + int(b[1])
			list = append(list, pair{int(b[0]), string(b[2:end])})
			b = b[end:]
		}
		return list
	}
	return b
}

func buildGopacket(p packet) ([]byte, error) {
	m := layers.DHCPv4{
		Operation: layers.DHCPOp(p.Op), HardwareType: layers.LinkType(p.HType), RelayHops: p.Hops, Xid: p.XID, Secs: p.Secs, Flags: p.Flags,
		ClientIP: p.CI.AsSlice(), YourClientIP: p.YI.AsSlice(), NextServerIP: p.SI.AsSlice(), RelayAgentIP: p.GI.AsSlice(),
		ClientHWAddr: p.CHAddr, ServerName: []byte(p.SName), File: []byte(p.File),
	}
	rest := p.Options
	if n := len(rest) - p.InSName; p.InSName > 0 {
		m.ServerName, rest = fieldByHand(rest[n:]), rest[:n]
	}
	if n := len(rest) - p.InFile; p.InFile > 0 {
		m.File, rest = fieldByHand(rest[n:]), rest[:n]
	}
	for _, o := range rest {
		m.Options = append(m.Options, layers.NewDHCPOption(layers.DHCPOpt(o.Code), payloadByHand(o.Value)))
	}
	buffer := gopacket.NewSerializeBuffer()
	err := m.SerializeTo(buffer, gopacket.SerializeOptions{FixLengths: true})
	b := buffer.Bytes()
	for len(b) < 300 {
		b = append(b, 0) // gopacket does not pad
	}
	return b, err
}

func fieldByHand(options []option) (b []byte) {
	for _, o := range options {
		payload := payloadByHand(o.Value)
		b = append(append(b, o.Code, byte(len(payload))), payload...)
	}
	return append(b, 255)
}

func payloadByHand(value any) (b []byte) {
	switch v := value.(type) {
	case []byte:
		return v
	case typeValue:
		return []byte{byte(v)}
	case secondsValue:
		return binary.BigEndian.AppendUint32(nil, uint32(v))
	case addrValue:
		return v.AsSlice()
	case addrsValue:
		for _, a := range v {
			b = append(b, a.AsSlice()...)
		}
		return b
	case agentValue:
		for _, s := range v {
			b = append(append(b, byte(s.Code), byte(len(s.Payload))), s.Payload...)
		}
		return b
	}
	panic(fmt.Sprintf("no payload for %T", value))
}

package dhcp6_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// gopacket frames messages and options; the fields inside the options are read
// here by their offsets in the RFC's figures, so that nothing of the package
// under test takes part.

func decodeGopacket(b []byte) (packet, error) {
	var p packet
	for {
		var m layers.DHCPv6
		if err := m.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
			return p, err
		}
		options, next, err := gopacketOptions(m.Options)
		if err != nil {
			return p, err
		}
		if m.LinkAddr == nil {
			p.Type, p.Options = uint8(m.MsgType), options
			p.XID = binary.BigEndian.Uint32(append([]byte{0}, m.TransactionID...))
			return p, nil
		}
		if next == nil {
			return p, fmt.Errorf("layer %d has no inner message", len(p.Relays))
		}
		p.Relays = append(p.Relays, relay{
			Type: uint8(m.MsgType), Hops: m.HopCount, Options: options,
			Link: netip.AddrFrom16([16]byte(m.LinkAddr)), Peer: netip.AddrFrom16([16]byte(m.PeerAddr)),
		})
		b = next
	}
}

// gopacketOptions returns the options, and the payload of option 9 among them.
func gopacketOptions(in layers.DHCPv6Options) (list []option, next []byte, err error) {
	for _, o := range in {
		if o.Code == 9 {
			next = o.Data
		}
		v, err := gopacketValue(uint16(o.Code), o.Data)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, option{uint16(o.Code), v})
	}
	return list, next, nil
}

func gopacketValue(code uint16, b []byte) (any, error) {
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	switch code {
	case 9:
		return inner{}, nil
	case 3, 25:
		nested, err := gopacketNested(b[12:])
		return iaValue{u32(0), u32(4), u32(8), nested}, err
	case 5:
		nested, err := gopacketNested(b[24:])
		return addressValue{netip.AddrFrom16([16]byte(b[:16])), u32(16), u32(20), nested}, err
	case 26:
		nested, err := gopacketNested(b[25:])
		return prefixValue{netip.AddrFrom16([16]byte(b[9:25])), b[8], u32(0), u32(4), nested}, err
	case 13:
		return statusValue{binary.BigEndian.Uint16(b), string(b[2:])}, nil
	case 37:
		return remoteValue{u32(0), string(b[4:])}, nil
	}
	return b, nil
}

// gopacketNested reads options within an option by putting them under the header
// of a message.
func gopacketNested(b []byte) ([]option, error) {
	var m layers.DHCPv6
	if err := m.DecodeFromBytes(append([]byte{1, 0, 0, 0}, b...), gopacket.NilDecodeFeedback); err != nil {
		return nil, err
	}
	list, _, err := gopacketOptions(m.Options)
	return list, err
}

func buildGopacket(p packet) ([]byte, error) {
	m := layers.DHCPv6{MsgType: layers.DHCPv6MsgType(p.Type), TransactionID: []byte{byte(p.XID >> 16), byte(p.XID >> 8), byte(p.XID)}}
	m.Options = toGopacket(p.Options, nil)
	b, err := gopacketBytes(m)
	for i := len(p.Relays) - 1; i >= 0 && err == nil; i-- {
		r := p.Relays[i]
		b, err = gopacketBytes(layers.DHCPv6{
			MsgType: layers.DHCPv6MsgType(r.Type), HopCount: r.Hops,
			LinkAddr: r.Link.AsSlice(), PeerAddr: r.Peer.AsSlice(),
			Options: toGopacket(r.Options, b),
		})
	}
	return b, err
}

func gopacketBytes(m layers.DHCPv6) ([]byte, error) {
	buffer := gopacket.NewSerializeBuffer()
	err := m.SerializeTo(buffer, gopacket.SerializeOptions{FixLengths: true})
	return buffer.Bytes(), err
}

func toGopacket(options []option, next []byte) (list layers.DHCPv6Options) {
	for _, o := range options {
		list = append(list, layers.NewDHCPv6Option(layers.DHCPv6Opt(o.Code), gopacketPayload(o.Value, next)))
	}
	return list
}

func gopacketPayload(value any, next []byte) (b []byte) {
	nested := func(b []byte, options []option) []byte {
		for _, o := range toGopacket(options, nil) {
			b = binary.BigEndian.AppendUint16(b, uint16(o.Code))
			b = binary.BigEndian.AppendUint16(b, o.Length)
			b = append(b, o.Data...)
		}
		return b
	}
	u32 := binary.BigEndian.AppendUint32
	switch v := value.(type) {
	case inner:
		return next
	case []byte:
		return v
	case iaValue:
		return nested(u32(u32(u32(b, v.IAID), v.T1), v.T2), v.Options)
	case addressValue:
		return nested(u32(u32(v.Address.AsSlice(), v.Preferred), v.Valid), v.Options)
	case prefixValue:
		b = append(u32(u32(b, v.Preferred), v.Valid), v.Bits)
		return nested(append(b, v.Address.AsSlice()...), v.Options)
	case statusValue:
		return append(binary.BigEndian.AppendUint16(b, v.Code), v.Text...)
	case remoteValue:
		return append(u32(b, v.Enterprise), v.ID...)
	}
	panic(fmt.Sprintf("no payload for %T", value))
}

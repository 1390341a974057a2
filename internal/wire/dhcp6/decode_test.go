package dhcp6_test

import (
	"fmt"

	"fairlead/internal/wire/dhcp6"
)

// decode reads b with the parsers under test.
func decode(b []byte) (packet, error) {
	var p packet
	for range dhcp6.MaxRelayLayers {
		if len(b) == 0 || !dhcp6.MessageType(b[0]).IsRelay() {
			break
		}
		m, err := dhcp6.ParseRelay(b)
		if err != nil {
			return p, err
		}
		r := relay{Type: uint8(m.Type()), Hops: m.HopCount(), Link: m.LinkAddress(), Peer: m.PeerAddress()}
		if r.Options, err = decodeOptions(m.Options()); err != nil {
			return p, err
		}
		p.Relays = append(p.Relays, r)
		if b, _ = m.Inner(); b == nil {
			return p, fmt.Errorf("layer %d has no inner message", len(p.Relays))
		}
	}
	m, err := dhcp6.ParseMessage(b)
	if err != nil {
		return p, err
	}
	p.Type, p.XID = uint8(m.Type()), m.TransactionID()
	p.Options, err = decodeOptions(m.Options())
	return p, err
}

func decodeOptions(o dhcp6.Options) (list []option, err error) {
	for c, payload := range o.All() {
		v, err := decodeValue(c, payload)
		if err != nil {
			return nil, err
		}
		list = append(list, option{uint16(c), v})
	}
	return list, nil
}

func decodeValue(c dhcp6.OptionCode, payload []byte) (any, error) {
	switch c {
	case dhcp6.OptionRelayMessage:
		return inner{}, nil
	case dhcp6.OptionIANA, dhcp6.OptionIAPD:
		v, err := dhcp6.ParseIA(payload)
		if err != nil {
			return nil, err
		}
		nested, err := decodeOptions(v.Options)
		return iaValue{v.IAID, uint32(v.T1), uint32(v.T2), nested}, err
	case dhcp6.OptionIAAddr:
		v, err := dhcp6.ParseIAAddr(payload)
		if err != nil {
			return nil, err
		}
		nested, err := decodeOptions(v.Options)
		return addressValue{v.Address, uint32(v.Preferred), uint32(v.Valid), nested}, err
	case dhcp6.OptionIAPrefix:
		v, err := dhcp6.ParseIAPrefix(payload)
		if err != nil {
			return nil, err
		}
		nested, err := decodeOptions(v.Options)
		return prefixValue{v.Prefix.Addr(), uint8(v.Prefix.Bits()), uint32(v.Preferred), uint32(v.Valid), nested}, err
	case dhcp6.OptionStatusCode:
		v, err := dhcp6.ParseStatus(payload)
		return statusValue{uint16(v.Code), string(v.Message)}, err
	case dhcp6.OptionRemoteID:
		v, err := dhcp6.ParseRemoteID(payload)
		return remoteValue{v.EnterpriseNumber, string(v.ID)}, err
	}
	return payload, nil
}

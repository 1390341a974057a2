package dhcp4_test

import (
	"slices"
	"strings"

	"fairlead/internal/wire/dhcp4"
)

// decode reads b with the parsers under test.
func decode(b []byte) (packet, error) {
	m, err := dhcp4.ParseMessage(b)
	if err != nil {
		return packet{}, err
	}
	p := packet{
		Op: uint8(m.Op()), HType: m.HType(), Hops: m.Hops(), XID: m.XID(), Secs: m.Secs(), Flags: m.Flags(),
		CI: m.CIAddr(), YI: m.YIAddr(), SI: m.SIAddr(), GI: m.GIAddr(), CHAddr: m.CHAddr(),
	}
	for c, payload := range m.Options().All() {
		v, err := decodeValue(c, payload)
		if err != nil {
			return p, err
		}
		p.Options = append(p.Options, option{uint8(c), v})
	}
	p.names(m.SName(), m.File())
	return p, nil
}

// names sets SName and File from the octets of their fields, unless these hold options.
func (p *packet) names(sname, file []byte) {
	var overload byte
	if i := slices.IndexFunc(p.Options, func(o option) bool { return o.Code == 52 }); i >= 0 {
		overload = p.Options[i].Value.([]byte)[0]
	}
	if overload&1 == 0 {
		p.File, _, _ = strings.Cut(string(file), "\x00")
	}
	if overload&2 == 0 {
		p.SName, _, _ = strings.Cut(string(sname), "\x00")
	}
}

func decodeValue(c dhcp4.OptionCode, payload []byte) (any, error) {
	switch c {
	case 1, 28, 50, 54:
		v, err := dhcp4.ParseAddress(c, payload)
		return addrValue{v}, err
	case 3, 6:
		v, err := dhcp4.ParseAddresses(c, payload)
		return addrsValue(slices.Collect(v.All())), err
	case 51, 58, 59:
		v, err := dhcp4.ParseLifetime(c, payload)
		return secondsValue(v), err
	case 53:
		v, err := dhcp4.ParseMessageType(payload)
		return typeValue(v), err
	case 82:
		v, err := dhcp4.ParseAgentInformation(payload)
		return agentValue(subPairs(v)), err
	}
	return payload, nil
}

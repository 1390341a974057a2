package dhcp6_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

func decodeInsomniac(b []byte) (packet, error) {
	var p packet
	m, err := dhcpv6.FromBytes(b)
	if err != nil {
		return p, err
	}
	for m.IsRelay() {
		r := m.(*dhcpv6.RelayMessage)
		p.Relays = append(p.Relays, relay{
			Type: uint8(r.MessageType), Hops: r.HopCount, Options: fromInsomniac(r.Options.Options),
			Link: netip.AddrFrom16([16]byte(r.LinkAddr)), Peer: netip.AddrFrom16([16]byte(r.PeerAddr)),
		})
		if m = r.Options.RelayMessage(); m == nil {
			return p, fmt.Errorf("layer %d has no inner message", len(p.Relays))
		}
	}
	last := m.(*dhcpv6.Message)
	p.Type, p.Options = uint8(last.MessageType), fromInsomniac(last.Options.Options)
	p.XID = binary.BigEndian.Uint32(append([]byte{0}, last.TransactionID[:]...))
	return p, nil
}

func fromInsomniac(in dhcpv6.Options) (list []option) {
	seconds := func(d time.Duration) uint32 { return uint32(d / time.Second) }
	for _, o := range in {
		var value any
		switch v := o.(type) {
		case *dhcpv6.OptIANA:
			value = iaValue{binary.BigEndian.Uint32(v.IaId[:]), seconds(v.T1), seconds(v.T2), fromInsomniac(v.Options.Options)}
		case *dhcpv6.OptIAPD:
			value = iaValue{binary.BigEndian.Uint32(v.IaId[:]), seconds(v.T1), seconds(v.T2), fromInsomniac(v.Options.Options)}
		case *dhcpv6.OptIAAddress:
			value = addressValue{netip.AddrFrom16([16]byte(v.IPv6Addr)), seconds(v.PreferredLifetime), seconds(v.ValidLifetime), fromInsomniac(v.Options.Options)}
		case *dhcpv6.OptIAPrefix:
			p := prefixValue{netip.IPv6Unspecified(), 0, seconds(v.PreferredLifetime), seconds(v.ValidLifetime), fromInsomniac(v.Options.Options)}
			if v.Prefix != nil { // nil is its way to say length 0
				ones, _ := v.Prefix.Mask.Size()
				p.Address, p.Bits = netip.AddrFrom16([16]byte(v.Prefix.IP)), uint8(ones)
			}
			value = p
		case *dhcpv6.OptStatusCode:
			value = statusValue{uint16(v.StatusCode), v.StatusMessage}
		case *dhcpv6.OptRemoteID:
			value = remoteValue{v.EnterpriseNumber, string(v.RemoteID)}
		default:
			value = o.ToBytes()
			if o.Code() == dhcpv6.OptionRelayMsg {
				value = inner{}
			}
		}
		list = append(list, option{uint16(o.Code()), value})
	}
	return list
}

func buildInsomniac(p packet) ([]byte, error) {
	last := &dhcpv6.Message{
		MessageType:   dhcpv6.MessageType(p.Type),
		TransactionID: dhcpv6.TransactionID{byte(p.XID >> 16), byte(p.XID >> 8), byte(p.XID)},
	}
	last.Options.Options = toInsomniac(p.Options, nil)
	var m dhcpv6.DHCPv6 = last
	for i := len(p.Relays) - 1; i >= 0; i-- {
		r := p.Relays[i]
		wrapped := &dhcpv6.RelayMessage{
			MessageType: dhcpv6.MessageType(r.Type), HopCount: r.Hops,
			LinkAddr: r.Link.AsSlice(), PeerAddr: r.Peer.AsSlice(),
		}
		wrapped.Options.Options = toInsomniac(r.Options, m)
		m = wrapped
	}
	return m.ToBytes(), nil
}

func toInsomniac(options []option, next dhcpv6.DHCPv6) (list dhcpv6.Options) {
	seconds := func(s uint32) time.Duration { return time.Duration(s) * time.Second }
	iaid := func(id uint32) (a [4]byte) {
		binary.BigEndian.PutUint32(a[:], id)
		return a
	}
	for _, o := range options {
		switch v := o.Value.(type) {
		case inner:
			list.Add(dhcpv6.OptRelayMessage(next))
		case []byte:
			list.Add(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionCode(o.Code), OptionData: v})
		case iaValue:
			nested := toInsomniac(v.Options, nil)
			if o.Code == 3 {
				list.Add(&dhcpv6.OptIANA{IaId: iaid(v.IAID), T1: seconds(v.T1), T2: seconds(v.T2), Options: dhcpv6.IdentityOptions{Options: nested}})
			} else {
				list.Add(&dhcpv6.OptIAPD{IaId: iaid(v.IAID), T1: seconds(v.T1), T2: seconds(v.T2), Options: dhcpv6.PDOptions{Options: nested}})
			}
		case addressValue:
			list.Add(&dhcpv6.OptIAAddress{
				IPv6Addr: v.Address.AsSlice(), PreferredLifetime: seconds(v.Preferred), ValidLifetime: seconds(v.Valid),
				Options: dhcpv6.AddressOptions{Options: toInsomniac(v.Options, nil)},
			})
		case prefixValue:
			list.Add(&dhcpv6.OptIAPrefix{
				Prefix:            &net.IPNet{IP: v.Address.AsSlice(), Mask: net.CIDRMask(int(v.Bits), 128)},
				PreferredLifetime: seconds(v.Preferred), ValidLifetime: seconds(v.Valid),
				Options: dhcpv6.PrefixOptions{Options: toInsomniac(v.Options, nil)},
			})
		case statusValue:
			list.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusCode(v.Code), StatusMessage: v.Text})
		case remoteValue:
			list.Add(&dhcpv6.OptRemoteID{EnterpriseNumber: v.Enterprise, RemoteID: []byte(v.ID)})
		default:
			panic(fmt.Sprintf("no option for %T", v))
		}
	}
	return list
}

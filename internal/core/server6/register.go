package server6

import (
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// A client can register an address that it has chosen itself (RFC 9686). The server keeps it as a
// binding beside its leases, so that operators see who uses it and no other client gets it.

// register answers an ADDR-REG-INFORM (RFC 9686 section 4.2.1).
func (s *Server) register(now instant.Now, r *request, eff *effect.Effects) (effect.Drop, bool) {
	option, one := r.registered()
	if !s.cfg.Registers {
		return effect.DropUnknownType, false
	}
	if !one || option.Address != r.source || !r.network.onLink(r.source) && !s.isDelegatedTo(r, r.source) {
		return effect.DropInvalid, false
	}
	p := netip.PrefixFrom(r.source, r.source.BitLen())
	if slot := s.table.Find(p); slot != nil {
		if _, ours := slot.IAID(); ours {
			return effect.DropInvalid, false // the server itself has given this address
		}
	}
	s.events = s.events[:0]
	if option.Valid == 0 {
		if slot := s.table.Find(p); slot != nil && s.table.Client(slot) == r.who() {
			s.events = append(s.events, s.table.End(slot, binding.Released))
		}
	} else {
		g := delegation.Grant{
			Link: r.link, VRF: r.vrf, Prefix: p, Kind: binding.Address, Client: r.who(), NoIAID: true, NextHop: r.source, LinkLayer: r.linkLayer,
			Preferred: min(option.Preferred, option.Valid).Duration(), Lifetime: min(option.Valid.Duration(), longestRegistration),
			Source: binding.Registered, Line: r.line(),
		}
		g.Preferred = min(g.Preferred, g.Lifetime)
		policy := *r.policy
		policy.Move = delegation.MoveFollow // section 4.2.1: the binding is updated
		s.events = s.table.Learn(s.events, now, g, delegation.Terms{Policy: &policy, Reserved: func(*delegation.Grant) bool { return false }})
	}
	s.apply(now)
	s.send(now, r, dhcp6.AddrRegReply, eff)
	return 0, true
}

// longestRegistration bounds how long an address stays registered if its client does not register
// it again. A client does so well before the lifetime ends (RFC 9686 section 4.6); one that
// registered for ever may be gone.
const longestRegistration = 30 * 24 * time.Hour

// registered is the IA Address option of an ADDR-REG-INFORM; false unless there is exactly one.
func (r *request) registered() (v dhcp6.IAAddr, one bool) {
	if r.m.Options().Count(dhcp6.OptionIAAddr) != 1 {
		return v, false
	}
	b, _ := r.m.Options().First(dhcp6.OptionIAAddr)
	v, err := dhcp6.ParseIAAddr(b)
	return v, err == nil && v.Address.IsGlobalUnicast()
}

// appendRegistered appends the IA Address option of an ADDR-REG-INFORM unchanged (RFC 9686 section
// 4.3).
func (r *request) appendRegistered(b []byte) []byte {
	option, _ := r.m.Options().First(dhcp6.OptionIAAddr)
	return dhcp6.AppendOption(dhcp6.AppendClientID(b, r.duid), dhcp6.OptionIAAddr, option)
}

// isDelegatedTo reports whether an address lies in a prefix that the server has delegated to the
// client.
func (s *Server) isDelegatedTo(r *request, a netip.Addr) bool {
	for slot := s.first(r); slot != nil; slot = s.table.Next(slot) {
		if slot.Kind() == binding.Prefix && slot.Prefix().Contains(a) {
			return true
		}
	}
	return false
}

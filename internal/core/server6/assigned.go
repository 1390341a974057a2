package server6

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// tellAssigned appends the Relay Agent Assignment Notification option of
// draft-ietf-dhc-dhcpv6-agentopt-delegate, if the relay agent asks for it in its Option Request
// option. The option has all leases of the client on its link, and with lifetimes of 0 those that
// end with this answer. It goes only to peers under IPsec that are configured for it
// (trust.Peer.Assignments).
// For a message without a client identifier nobody is told.
func (s *Server) tellAssigned(now instant.Now, b []byte, r *request, asks dhcp6.Options) ([]byte, error) {
	v, some := asks.First(dhcp6.OptionORO)
	if !some || len(r.duid) == 0 {
		return b, nil
	}
	if codes, err := dhcp6.ParseORO(v); err != nil || !codes.Contains(s.cfg.AssignmentOption) {
		return b, nil
	}
	if !r.relay.Assignments {
		s.untold++
		return b, nil
	}
	b, mark := dhcp6.BeginOption(b, s.cfg.AssignmentOption)
	for i := range s.events {
		if e := &s.events[i]; e.Kind == binding.Ended {
			b = appendAssigned(b, &e.Old, 0, 0)
		}
	}
	for slot := s.first(r); slot != nil; slot = s.table.Next(slot) {
		one := s.table.Read(slot)
		b = appendAssigned(b, &one, remaining(now, one.Preferred), remaining(now, one.Valid))
	}
	return dhcp6.EndOption(b, mark)
}

func appendAssigned(b []byte, one *binding.Binding, preferred, valid dhcp6.Lifetime) []byte {
	if one.Kind == binding.Address {
		return dhcp6.AppendIAAddr(b, dhcp6.IAAddr{Address: one.Prefix.Addr(), Preferred: preferred, Valid: valid})
	}
	return appendPrefix(b, &lease{prefix: one.Prefix, preferred: preferred, valid: valid, exclude: one.Exclude})
}

// remaining is the time until an instant as a lifetime, rounded down to seconds, so that it is
// never above what the client was told.
func remaining(now instant.Now, until instant.Instant) dhcp6.Lifetime {
	if until == instant.Never {
		return dhcp6.Infinity
	}
	return dhcp6.Lifetime(max(0, now.Until(until).Seconds()))
}

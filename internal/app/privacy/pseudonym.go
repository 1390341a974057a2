package privacy

import (
	"context"
	"encoding/binary"
	"net/netip"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/core/binding"
	"fairlead/internal/wire/linkaddr"
)

// A pseudonym stands where a value of the identifier's own type has to. It has
// the octets of the same hash that the log shows after a #.
//
//   - a DUID of a type that does not exist, ff:ff, and the hash; the same octets for a
//     client identifier and for a hardware address;
//   - an address in 100::/64, which is nobody's (RFC 6666), and ends with the
//     hash; for a prefix, a /128 of this kind.
//
// What is shortened keeps its ends, with zeros between; of a prefix 32 bits, of one of
// IPv4 16. What is hidden is an empty DUID, :: and ::/0.

var (
	pseudonymType  = "\xff\xff"
	pseudonymSpace = netip.MustParsePrefix("100::/64")
	nobody         = netip.IPv6Unspecified()
	nothing        = netip.PrefixFrom(nobody, 0)
)

// DUID is the octets of a DUID, or of its pseudonym.
func (m Mask) DUID(duid string) string {
	if duid == "" {
		return duid
	}
	switch m.how {
	case config.IdentifiersShort:
		return blank(duid, 2)
	case config.IdentifiersHashed:
		sum := m.hash(kindDUID, []byte(duid))
		return pseudonymType + string(sum[:])
	case config.IdentifiersNone:
		return ""
	}
	return duid
}

// blank replaces all octets by zeros except some at either end; of a short text it replaces all.
func blank(s string, shown int) string {
	b := []byte(s)
	if len(b) <= 2*shown+2 {
		shown = 0
	}
	clear(b[shown : len(b)-shown])
	return string(b)
}

// IAID is an IAID of a client, or its pseudonym, because many clients make it from a link-layer
// address. A short one is half of it.
func (m Mask) IAID(duid string, iaid uint32) uint32 {
	switch m.how {
	case config.IdentifiersShort:
		return iaid & 0xffff
	case config.IdentifiersHashed:
		sum := m.hash(kindIAID, binary.BigEndian.AppendUint32(nil, iaid), []byte(duid))
		return binary.BigEndian.Uint32(sum[:])
	case config.IdentifiersNone:
		return 0
	}
	return iaid
}

// iaid is IAID for an IAID that may be unknown.
func (m Mask) iaid(client string, i api.IAID) api.IAID {
	if i.Known {
		i.ID = m.IAID(client, i.ID)
	}
	return i
}

// Addr is an address or its pseudonym.
func (m Mask) Addr(a netip.Addr) netip.Addr {
	if !m.hides(a) {
		return a
	}
	octets := a.WithZone("").As16()
	switch m.how {
	case config.IdentifiersShort:
		if a.Is4() {
			clear(octets[13:15])
			return netip.AddrFrom16(octets).Unmap()
		}
		clear(octets[4:14])
		return netip.AddrFrom16(octets)
	case config.IdentifiersHashed:
		return inPseudonymSpace(m.hash(kindAddr, octets[:]))
	}
	return nobody
}

// Prefix is a prefix or its pseudonym.
func (m Mask) Prefix(p netip.Prefix) netip.Prefix {
	if !p.IsValid() || p.Bits() == 0 || !m.hides(p.Addr()) {
		return p
	}
	octets := p.Addr().As16()
	switch m.how {
	case config.IdentifiersShort:
		if p.Addr().Is4() {
			clear(octets[14:])
			return netip.PrefixFrom(netip.AddrFrom16(octets).Unmap(), p.Bits()).Masked()
		}
		clear(octets[4:])
		return netip.PrefixFrom(netip.AddrFrom16(octets), p.Bits()).Masked()
	case config.IdentifiersHashed:
		return netip.PrefixFrom(inPseudonymSpace(m.hash(kindPrefix, octets[:], []byte{byte(p.Bits())})), 128)
	}
	return nothing
}

func inPseudonymSpace(sum [hashLen]byte) netip.Addr {
	octets := pseudonymSpace.Addr().As16()
	copy(octets[len(octets)-hashLen:], sum[:])
	return netip.AddrFrom16(octets)
}

// Past masks the record of a delegation that has ended. Its link-layer address was needed only
// while the delegation lived: it is not kept unless everything is.
func (m Mask) Past(d *binding.Binding) {
	if m.Shows() || pseudonym(d) {
		return
	}
	identifier := d.Client.Identifier()
	d.IAID = m.IAID(identifier, d.IAID)
	d.Client, d.NextHop, d.Prefix = binding.Identified(d.Client.Kind(), m.DUID(identifier)), m.Addr(d.NextHop), m.Prefix(d.Prefix)
	d.LinkLayer = linkaddr.Addr{}
}

// pseudonym reports whether a record has hashes already, perhaps with another key.
func pseudonym(d *binding.Binding) bool {
	return pseudonymSpace.Contains(d.Prefix.Addr())
}

// Event masks an event for a watch or a trace.
func (m Mask) Event(e *api.Event) {
	if m.Shows() {
		return
	}
	client := string(e.Client)
	e.IAID = m.IAID(client, e.IAID)
	e.Client = api.Identifier(m.DUID(client))
	e.Reason, e.Detail, e.Error = m.Text(e.Reason), m.Text(e.Detail), m.Text(e.Error)
	e.Delegation, e.Previous = m.delegation(e.Delegation), m.delegation(e.Previous)
	if e.Carries != nil {
		c := *e.Carries // others read the same event
		c.IAID, c.Prefix = m.iaid(client, c.IAID), m.Prefix(c.Prefix)
		e.Carries = &c
	}
}

// delegation is a masked copy, because others read the same event.
func (m Mask) delegation(d *api.Delegation) *api.Delegation {
	if d == nil {
		return nil
	}
	c := *d
	c.IAID = m.iaid(string(d.Client), d.IAID)
	c.Client = api.Identifier(m.DUID(string(d.Client)))
	c.NextHop, c.Prefix = m.Addr(d.NextHop), m.Prefix(d.Prefix)
	c.LinkLayer = ""
	if a, ok := linkaddr.Parse(d.LinkLayer); ok {
		c.LinkLayer = m.LinkLayerText(a)
	}
	return &c
}

// Events are the events of in, masked, until ctx ends. They have been selected before: an
// operator who asks for one client knows its identifier. If in is nil, so is the result.
func (r *Rules) Events(ctx context.Context, in <-chan api.Event) <-chan api.Event {
	if in == nil {
		return nil
	}
	out := make(chan api.Event)
	go func() {
		defer close(out)
		for {
			select {
			case e, ok := <-in:
				if !ok {
					return
				}
				r.Trace().Event(&e)
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

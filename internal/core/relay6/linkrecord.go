package relay6

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/links"
)

// LinkRecord is what is kept of a link for a later life of the process: by then its
// interface may be down, without its addresses, or gone.
type LinkRecord struct {
	Address  netip.Prefix   // chosen as link-address, with its on-link prefix length; may be invalid
	Instead  netip.Prefix   // used as link-address while Address is missing; mostly invalid
	VRF      string         // of its interface
	Prefixes []netip.Prefix // reserved for the link
}

// LinkKey is where the record of a link is kept, and LinkRange the range of all such
// keys.
func LinkKey(link string) []byte { return append(append([]byte(binding.Relay6), linkLetter), link...) }

const linkLetter = 'a'

// LinkRange is the range of the keys of all links' records, for a scan.
func LinkRange() (from, to []byte) { return binding.Range(binding.Relay6, linkLetter) }

// linkVersion begins the records of today. Those of before are one prefix: that of the
// chosen address.
const linkVersion = 1

const (
	prefixOctets = 17
	noPrefix     = 255 // in the place of the length
	// The kernel makes at most 16 addresses of router advertisements on an interface
	// (net.ipv6.conf.*.max_addresses); more have to be added by hand.
	maxKeptPrefixes = 1024
)

// ParseLinkRecord reads one record of a link.
func ParseLinkRecord(key, value []byte) (link string, rec LinkRecord, err error) {
	link, ours := strings.CutPrefix(string(key), string(LinkKey("")))
	if !ours || link == "" || len(value) == 0 {
		return "", rec, binding.ErrRecord
	}
	if len(value) == prefixOctets && value[0] != linkVersion { // no link has an address in 100::/8
		rec.Address = parsePrefix(value)
		rec.Prefixes = []netip.Prefix{rec.Address.Masked()}
		if !rec.Address.IsValid() {
			err = binding.ErrRecord
		}
		return link, rec, err
	}
	const fixed = 1 + 2*prefixOctets + 1
	if len(value) < fixed || value[0] != linkVersion {
		return "", rec, binding.ErrRecord
	}
	rec.Address, rec.Instead = parsePrefix(value[1:]), parsePrefix(value[1+prefixOctets:])
	vrf := int(value[fixed-1])
	if value = value[fixed:]; len(value) < vrf+2 {
		return "", rec, binding.ErrRecord
	}
	rec.VRF, value = string(value[:vrf]), value[vrf:]
	n := int(binary.BigEndian.Uint16(value))
	if value = value[2:]; len(value) != n*prefixOctets {
		return "", rec, binding.ErrRecord
	}
	for ; n > 0; n-- {
		p := parsePrefix(value)
		if !p.IsValid() {
			return "", rec, binding.ErrRecord
		}
		rec.Prefixes, value = append(rec.Prefixes, p), value[prefixOctets:]
	}
	return link, rec, nil
}

// Append appends the record. The name of a VRF is that of an interface, and so has 15
// octets at most. Of very many prefixes the first are kept.
func (rec *LinkRecord) Append(b []byte) []byte {
	b = appendPrefix(appendPrefix(append(b, linkVersion), rec.Address), rec.Instead)
	b = append(append(b, byte(len(rec.VRF))), rec.VRF...)
	prefixes := rec.Prefixes[:min(len(rec.Prefixes), maxKeptPrefixes)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(prefixes)))
	for _, p := range prefixes {
		b = appendPrefix(b, p)
	}
	return b
}

func parsePrefix(b []byte) netip.Prefix {
	if b[16] > 128 {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte(b[:16])), int(b[16]))
}

func appendPrefix(b []byte, p netip.Prefix) []byte {
	if !p.IsValid() {
		return append(append(b, make([]byte, 16)...), noPrefix)
	}
	a := p.Addr().As16()
	return append(append(b, a[:]...), byte(p.Bits()))
}

// RestoreLink takes in what was kept of a link in an earlier life of the process. It
// comes before the links are told of. The relay before, if it panicked, knew better.
func (r *Relay) RestoreLink(name string, rec LinkRecord) {
	if r.before != nil {
		return
	}
	if rec.Address.IsValid() {
		r.links.Restore(name, rec.Address, rec.Instead)
	}
	var stakes []stake
	for _, p := range rec.Prefixes {
		stakes = append(stakes, stake{rec.VRF, p})
	}
	r.expect(name, rec.VRF, stakes)
}

// expect reserves prefixes for the name of a link that is not told of yet.
func (r *Relay) expect(name, vrf string, stakes []stake) {
	rule := r.Rule(name)
	if rule == nil || len(stakes) == 0 {
		return
	}
	l := &link{Entry: links.Entry{Link: &links.Link{Name: name, VRF: vrf}}, rule: rule, gone: true, stakes: stakes, kept: stakes}
	for _, at := range stakes {
		r.reserved.add(at, l)
	}
	r.restake(nil, l) // nothing is delegated yet
}

// linkValue is the record of a link as it is now, nil if there is nothing to keep.
func (r *Relay) linkValue(key string) []byte {
	var rec LinkRecord
	name := strings.TrimPrefix(key, string(LinkKey("")))
	rec.Address, rec.Instead = r.links.Chosen(name)
	l := r.links.Named(name)
	if lost := r.lost[name]; lost != nil {
		l = lost.of
	}
	if l != nil {
		rec.VRF = l.VRF
		for _, at := range l.lasting() {
			rec.Prefixes = append(rec.Prefixes, at.prefix)
		}
	}
	if !rec.Address.IsValid() && len(rec.Prefixes) == 0 {
		return nil
	}
	return rec.Append(nil)
}

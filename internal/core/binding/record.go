package binding

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Space is the part of the store that belongs to one role for one family: every key of
// the role begins with it.
type Space string

// The spaces.
const (
	Relay6  Space = "R6"
	Relay4  Space = "R4"
	Server6 Space = "S6"
)

// spaceLen is how many octets a Space has.
const spaceLen = 2

// Record is a binding as it is stored. Instants of one boot mean nothing in the next one,
// so a record has the times of both clocks, and the boot of its instants. Preferred,
// Granted, Changed, Server and Source are there for operators, who see the same after a
// restart as before; a core needs all other fields for its decisions.
type Record struct {
	Binding
	Space     Space
	BootID    string
	ValidWall time.Time // zero: never, or the wall clock could not be trusted when it was kept
}

// Key is the key of a binding's record: VRF and prefix, which are unique in a space.
func Key(b []byte, in Space, vrf string, p netip.Prefix) []byte {
	b = append(append(b, in...), letter)
	b = append(b, vrf...)
	b = append(b, 0)
	a := p.Addr().As16()
	b = append(b, a[:]...)
	return append(b, byte(p.Bits()))
}

const letter = 'd'

// KeyRange is the range of the keys of all bindings in a space, for a scan.
func KeyRange(in Space) (from, to []byte) { return Range(in, letter) }

// Range is the range of all keys of a space whose next octet is that letter.
func Range(in Space, next byte) (from, to []byte) {
	return append([]byte(in), next), append([]byte(in), next+1)
}

// The versions of records. Versions one and two are from when there was one role: they
// name no space, their client is a DUID, and their IAID is known. A record of version two
// ends with the excluded prefix, and so does one of version three that has the flag for
// it.
const (
	versionFirst     = 1
	versionExclusion = 2
	version          = 3
)

// The flags of a record of the third version.
const (
	flagNoIAID = 1 << iota
	flagExclude
	flagReconfigures
	flags
)

// AppendRecord appends the record of d. Where the wall clock cannot be trusted (a machine
// without a battery that has not asked the network yet) the record has no end by the wall
// clock: such an end would be long past once the clock is right.
func AppendRecord(b []byte, in Space, d *Binding, now instant.Now, bootID string) []byte {
	end := time.Time{}
	if now.Synced {
		end = now.WallAt(d.Valid)
	}
	return appendRecord(b, in, d, end, bootID)
}

// Append appends a record that was read before.
func (r *Record) Append(b []byte) []byte {
	return appendRecord(b, r.Space, &r.Binding, r.ValidWall, r.BootID)
}

func appendRecord(b []byte, in Space, d *Binding, validWall time.Time, bootID string) []byte {
	flag := byte(0)
	if d.NoIAID {
		flag |= flagNoIAID
	}
	if d.Exclude.IsValid() {
		flag |= flagExclude
	}
	if d.Reconfigures {
		flag |= flagReconfigures
	}
	b = append(append(append(b, version), in...), flag)
	b = append(b, byte(d.Kind), byte(d.Source))
	a := d.Prefix.Addr().As16()
	b = append(b, a[:]...)
	b = append(b, byte(d.Prefix.Bits()))
	a = d.NextHop.As16()
	b = append(b, a[:]...)
	b = binary.BigEndian.AppendUint32(b, d.IAID)
	for _, v := range []int64{int64(d.Preferred), int64(d.Valid), int64(d.Lifetime), wallNanos(validWall), wallNanos(d.Granted), wallNanos(d.Changed)} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	b = append(b, byte(d.LinkLayer.Len()))
	b = d.LinkLayer.Append(b)
	for _, s := range []string{d.Link, d.VRF, d.Client.octets, d.Server, bootID} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	if d.Exclude.IsValid() {
		a = d.Exclude.Addr().As16()
		b = append(append(b, a[:]...), byte(d.Exclude.Bits()))
	}
	return b
}

func wallNanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func nanosWall(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// ErrRecord is a record that cannot be read.
var ErrRecord = errors.New("binding record: malformed")

// recordFixed is the length in octets of the part that all records have: from the kind up
// to the length of the link-layer address.
const recordFixed = 2 + 16 + 1 + 16 + 4 + 6*8 + 1

// ParseRecord is the reverse of AppendRecord, and reads the records of former versions
// as those of Relay6, which they all are; errors wrap ErrRecord.
func ParseRecord(b []byte) (Record, error) { return new(Reader).Parse(b) }

// Reader reads many records one after another. It allocates a text only where it differs
// from that of the record before, which is seldom.
type Reader struct {
	link, vrf, server, bootID string
	space                     Space
}

// Parse is ParseRecord.
func (rd *Reader) Parse(b []byte) (Record, error) {
	r := Record{Space: Relay6}
	whole := len(b)
	former, exclusion := true, false
	switch {
	case whole == 0:
		return Record{}, fmt.Errorf("%w: 0 octets", ErrRecord)
	case b[0] == versionFirst || b[0] == versionExclusion:
		exclusion, b = b[0] == versionExclusion, b[1:]
	case b[0] == version && whole > 1+spaceLen:
		r.Space = sameText(&rd.space, b[1:1+spaceLen])
		flag := b[1+spaceLen]
		if flag >= flags {
			return Record{}, fmt.Errorf("%w: flags %#x", ErrRecord, flag)
		}
		former, exclusion, b = false, flag&flagExclude != 0, b[2+spaceLen:]
		r.NoIAID, r.Reconfigures = flag&flagNoIAID != 0, flag&flagReconfigures != 0
	}
	if len(b) == whole || len(b) < recordFixed {
		return Record{}, fmt.Errorf("%w: %d octets", ErrRecord, whole)
	}
	r.Kind, r.Source = Kind(b[0]), Source(b[1])
	r.Prefix = prefixOf([16]byte(b[2:18]), b[18])
	r.NextHop = netip.AddrFrom16([16]byte(b[19:35])).Unmap()
	r.IAID = binary.BigEndian.Uint32(b[35:39])
	var n [6]int64
	for i := range n {
		n[i] = int64(binary.BigEndian.Uint64(b[39+8*i:]))
	}
	r.Preferred, r.Valid, r.Lifetime = instant.Instant(n[0]), instant.Instant(n[1]), time.Duration(n[2])
	r.ValidWall, r.Granted, r.Changed = nanosWall(n[3]), nanosWall(n[4]), nanosWall(n[5])
	ll := int(b[recordFixed-1])
	b = b[recordFixed:]
	if r.Kind >= Kinds || r.Source > Notified || !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked() || ll > linkaddr.MaxLen || len(b) < ll {
		return Record{}, fmt.Errorf("%w: fields out of range", ErrRecord)
	}
	r.LinkLayer, b = linkaddr.From(b[:ll]), b[ll:]
	var texts [5][]byte
	for i := range texts {
		l, used := binary.Uvarint(b)
		if used <= 0 || l > uint64(len(b)-used) {
			return Record{}, fmt.Errorf("%w: a text runs past the end", ErrRecord)
		}
		texts[i], b = b[used:used+int(l)], b[used+int(l):]
	}
	r.Link, r.VRF, r.Server, r.BootID = sameText(&rd.link, texts[0]), sameText(&rd.vrf, texts[1]), sameText(&rd.server, texts[3]), sameText(&rd.bootID, texts[4])
	client := texts[2]
	known := true
	if former {
		r.Client = DUID(client)
	} else {
		r.Client, known = ParseClient(client)
	}
	if !known {
		return Record{}, fmt.Errorf("%w: a client of unknown kind", ErrRecord)
	}
	if exclusion && len(b) == 17 {
		r.Exclude, b = prefixOf([16]byte(b), b[16]), nil
		if !r.Exclude.IsValid() || r.Exclude != r.Exclude.Masked() || r.Exclude.Bits() <= r.Prefix.Bits() || !r.Prefix.Overlaps(r.Exclude) {
			return Record{}, fmt.Errorf("%w: what is excluded is no part of the prefix", ErrRecord)
		}
	} else if exclusion {
		return Record{}, fmt.Errorf("%w: %d octets for what is excluded", ErrRecord, len(b))
	}
	if len(b) != 0 {
		return Record{}, fmt.Errorf("%w: %d octets left over", ErrRecord, len(b))
	}
	return r, nil
}

// sameText is the last text where the octets are the same, and else a new one.
func sameText[T ~string](last *T, b []byte) T {
	if string(b) != string(*last) {
		*last = T(b)
	}
	return *last
}

// prefixOf is the prefix of an address in 16 octets, in which one of IPv4 is mapped.
func prefixOf(a [16]byte, bits byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16(a).Unmap(), int(bits))
}

package delegation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Record is what is kept of a delegation. Instants of one boot mean nothing in
// the next, so both clocks are kept, and the boot that the one belongs to. All
// but Preferred, Granted, Changed, Server and Source serves a decision after a
// restart; those five serve operators, who are to see the same as before.
type Record struct {
	Delegation
	BootID    string
	ValidWall time.Time // zero: never, or the wall clock could not be trusted when it was kept
}

// Key is where a delegation is kept: by VRF and prefix, which are unique.
func Key(b []byte, vrf string, p netip.Prefix) []byte {
	b = append(b, 'd')
	b = append(b, vrf...)
	b = append(b, 0)
	a := p.Addr().As16()
	b = append(b, a[:]...)
	return append(b, byte(p.Bits()))
}

// KeyRange is the range of all keys of delegations, for a scan.
func KeyRange() (from, to []byte) { return []byte{'d'}, []byte{'d' + 1} }

// A record of the second version ends in the prefix that is excluded; one without
// such is of the first, as all were before.
const (
	recordVersion   = 1
	recordExclusion = 2
)

// AppendRecord appends the kept form of d. By a wall clock that cannot be trusted,
// such as that of a machine without a battery before it has asked the network, it
// says no end: once the clock is right that would long have passed.
func AppendRecord(b []byte, d *Delegation, now instant.Now, bootID string) []byte {
	end := time.Time{}
	if now.Synced {
		end = now.WallAt(d.Valid)
	}
	return appendRecord(b, d, end, bootID)
}

// Append appends the kept form of a record that was read.
func (r *Record) Append(b []byte) []byte {
	return appendRecord(b, &r.Delegation, r.ValidWall, r.BootID)
}

func appendRecord(b []byte, d *Delegation, validWall time.Time, bootID string) []byte {
	version := byte(recordVersion)
	if d.Exclude.IsValid() {
		version = recordExclusion
	}
	b = append(b, version, byte(d.Kind), byte(d.Source))
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
	for _, s := range []string{d.Link, d.VRF, d.Client, d.Server, bootID} {
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

// ErrRecord is a kept record that cannot be read.
var ErrRecord = errors.New("delegation record: malformed")

const recordFixed = 3 + 16 + 1 + 16 + 4 + 6*8 + 1

// ParseRecord is the reverse of AppendRecord; errors wrap ErrRecord.
func ParseRecord(b []byte) (Record, error) {
	var r Record
	if len(b) < recordFixed || b[0] != recordVersion && b[0] != recordExclusion {
		return r, fmt.Errorf("%w: %d octets", ErrRecord, len(b))
	}
	version := b[0]
	r.Kind, r.Source = Kind(b[1]), Source(b[2])
	r.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte(b[3:19])), int(b[19]))
	r.NextHop = netip.AddrFrom16([16]byte(b[20:36]))
	r.IAID = binary.BigEndian.Uint32(b[36:40])
	var n [6]int64
	for i := range n {
		n[i] = int64(binary.BigEndian.Uint64(b[40+8*i:]))
	}
	r.Preferred, r.Valid, r.Lifetime = instant.Instant(n[0]), instant.Instant(n[1]), time.Duration(n[2])
	r.ValidWall, r.Granted, r.Changed = nanosWall(n[3]), nanosWall(n[4]), nanosWall(n[5])
	ll := int(b[recordFixed-1])
	b = b[recordFixed:]
	if r.Kind >= kinds || r.Source > FromStore || !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked() || ll > linkaddr.MaxLen || len(b) < ll {
		return Record{}, fmt.Errorf("%w: fields out of range", ErrRecord)
	}
	r.LinkLayer, b = linkaddr.From(b[:ll]), b[ll:]
	for _, s := range []*string{&r.Link, &r.VRF, &r.Client, &r.Server, &r.BootID} {
		l, used := binary.Uvarint(b)
		if used <= 0 || l > uint64(len(b)-used) {
			return Record{}, fmt.Errorf("%w: a text runs past the end", ErrRecord)
		}
		*s, b = string(b[used:used+int(l)]), b[used+int(l):]
	}
	if version == recordExclusion && len(b) == 17 {
		r.Exclude, b = netip.PrefixFrom(netip.AddrFrom16([16]byte(b)), int(b[16])), nil
		if !r.Exclude.IsValid() || r.Exclude != r.Exclude.Masked() || r.Exclude.Bits() <= r.Prefix.Bits() || !r.Prefix.Overlaps(r.Exclude) {
			return Record{}, fmt.Errorf("%w: what is excluded is no part of the prefix", ErrRecord)
		}
	} else if version == recordExclusion {
		return Record{}, fmt.Errorf("%w: %d octets for what is excluded", ErrRecord, len(b))
	}
	if len(b) != 0 {
		return Record{}, fmt.Errorf("%w: %d octets left over", ErrRecord, len(b))
	}
	return r, nil
}

// maxDoubt is how long a synchronised clock that is behind the last instant kept is
// not believed. After that it was the other one that was wrong.
const maxDoubt = time.Hour

// Restore takes in what was kept (RFC 8987 S-1), before any client speaks. In
// the boot that a record was written in its instants hold. After a reboot the
// wall clock says how much is left; while that clock is unsynchronised or
// behind lastWall, the last instant kept, nothing is ended: a delegation then
// gets its whole lifetime again, which is never too short, until Expire finds
// the clock trustworthy and gives it its true end. So does, for good, one that
// was kept while the clock could not be trusted.
func (t *Table) Restore(now instant.Now, r Record, bootID string, lastWall time.Time) {
	e := &entry{Delegation: r.Delegation}
	e.Source = FromStore
	held := false
	if r.BootID != bootID && r.Valid != instant.Never {
		if known := !r.ValidWall.IsZero(); known && now.Synced && !now.Wall.Before(lastWall) {
			// More than the whole lifetime was never granted: the clock that said so was wrong.
			left := min(r.ValidWall.Sub(now.Wall), r.Lifetime)
			early := time.Duration(r.Valid - r.Preferred)
			e.Valid = now.Boot.After(left)
			e.Preferred = now.Boot.After(left - early)
		} else {
			e.Preferred, e.Valid = lifetimes(now, r.Lifetime, r.Lifetime)
			held = known
		}
	}
	t.Remove(e.VRF, e.Prefix)
	t.insert(e)
	if held {
		t.held[e.ref] = r.ValidWall.UnixNano()
		t.minWall, t.doubtEnd = lastWall, now.Boot.After(maxDoubt)
	}
}

// BlockKey and ParseBlock keep a block: the key is all there is to it.
func BlockKey(b []byte, k Block) []byte {
	b = append(b, 'b')
	var a [17]byte
	if k.Prefix.IsValid() {
		addr := k.Prefix.Addr().As16()
		copy(a[:], addr[:])
		a[16] = byte(k.Prefix.Bits()) + 1
	}
	b = append(b, a[:]...)
	b = binary.AppendUvarint(b, uint64(len(k.Client)))
	b = append(b, k.Client...)
	return append(b, k.Link...)
}

// BlockRange is the range of all keys of blocks, for a scan.
func BlockRange() (from, to []byte) { return []byte{'b'}, []byte{'b' + 1} }

// ParseBlock is the reverse of BlockKey; errors wrap ErrRecord.
func ParseBlock(key []byte) (Block, error) {
	var k Block
	if len(key) < 19 || key[0] != 'b' || key[17] > 129 {
		return k, fmt.Errorf("%w: block of %d octets", ErrRecord, len(key))
	}
	if key[17] > 0 {
		k.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte(key[1:17])), int(key[17])-1)
	}
	l, used := binary.Uvarint(key[18:])
	if used <= 0 || l > uint64(len(key)-18-used) {
		return Block{}, fmt.Errorf("%w: a text runs past the end", ErrRecord)
	}
	rest := key[18+used:]
	k.Client, k.Link = string(rest[:l]), string(rest[l:])
	return k, nil
}

package admission

import "fairlead/internal/core/instant"

// entry is one source on one link. It is known by 32 bits of its hash, its link
// and its place, some 60 bits together: with a secret key nobody can aim at
// another's entry, and two that fall together by chance share one bucket.
type entry struct {
	full  instant.Instant // when its bucket is full again
	print uint32
	owner owner
}

// owner is the place of a link plus one, and how often the source was admitted since it
// was new, up to the number at which it is established. Zero is an empty entry.
type owner uint32

const (
	countBits     = 2
	establishedAt = 1<<countBits - 1
)

func ownerOf(place int) owner     { return owner(place+1) << countBits }
func (o owner) place() int        { return int(o>>countBits) - 1 }
func (o owner) same(p owner) bool { return o>>countBits == p>>countBits }
func (o owner) established() bool { return o&establishedAt == establishedAt }

func (o owner) again() owner {
	if o.established() {
		return o
	}
	return o + 1
}

// ways is the number of entries of a set: two cache lines.
const ways = 8

// table has each source in one of two sets of entries. It neither grows nor moves entries:
// where both sets are full, a source replaces another one or gets no entry.
type table struct {
	entries []entry
	sets    uint32 // a power of two
	used    int
}

func newTable(least int) table {
	sets := 1
	for sets*ways < least {
		sets *= 2
	}
	return table{entries: make([]entry, sets*ways), sets: uint32(sets)}
}

func (t *table) set(n uint32) []entry {
	n &= t.sets - 1
	return t.entries[n*ways : n*ways+ways]
}

// both are the two sets that can have a source's entry.
func (t *table) both(hash uint64) (first, second []entry) {
	return t.set(uint32(hash)), t.set(uint32(hash) ^ uint32(hash>>32)*0x9e3779b1>>7)
}

// find is the entry of a source, nil where it is unknown.
func (t *table) find(hash uint64, o owner) *entry {
	print := uint32(hash >> 32)
	first, second := t.both(hash)
	for i := range first {
		if e := &first[i]; e.print == print && e.owner.same(o) {
			return e
		}
	}
	for i := range second {
		if e := &second[i]; e.print == print && e.owner.same(o) {
			return e
		}
	}
	return nil
}

// vacant is an empty entry for a source, in the emptier of its sets; nil where
// both are full.
func (t *table) vacant(hash uint64) *entry {
	first, second := t.both(hash)
	a, free := emptyIn(first)
	b, more := emptyIn(second)
	if more > free {
		return b
	}
	return a
}

func emptyIn(set []entry) (e *entry, count int) {
	for i := range set {
		if set[i].owner == 0 {
			e, count = &set[i], count+1
		}
	}
	return e, count
}

// worst is the entry of a source's sets that it may replace best: the one of the highest
// rank, and among equals the one that has been silent for longest. An entry of rank 0 must
// not be replaced.
func (t *table) worst(hash uint64, rank func(*entry) int) *entry {
	var worst *entry
	most := 0
	first, second := t.both(hash)
	for _, set := range [...][]entry{first, second} {
		for i := range set {
			e := &set[i]
			if r := rank(e); r > most || (r > 0 && r == most && e.full < worst.full) {
				worst, most = e, r
			}
		}
	}
	return worst
}

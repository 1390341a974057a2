package server6

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

const (
	// declinedFor is how long nobody gets an address that a client has declined: another host has
	// it, and an operator has to find out which.
	declinedFor = 24 * time.Hour
	// expiredFor is how long a lease that has expired waits for its client. A client that was
	// away gets what it had.
	expiredFor = 10 * time.Minute
)

// quarantine has what is given to nobody, or to one client alone, for some time.
type quarantine struct {
	declined map[netip.Prefix]declined
	by       map[linkaddr.Addr]int // how many of them a host has declined, where that is known
	expired  map[netip.Prefix]expired
	lookAt   instant.Instant // when expire looks for what is over; Never: there is nothing
}

// declined is an address that a client has declined. It is kept in the store.
type declined struct {
	until  instant.Instant
	wall   time.Time // the same by the wall clock; zero: that could not be trusted
	bootID string    // of until
	by     linkaddr.Addr
}

// expired is a lease that has expired, and whose it was, as the place of that client's IA in a
// pool: who it was is not kept.
type expired struct {
	until instant.Instant
	place uint64
}

func newQuarantine() quarantine {
	return quarantine{declined: map[netip.Prefix]declined{}, by: map[linkaddr.Addr]int{}, expired: map[netip.Prefix]expired{}, lookAt: instant.Never}
}

// decline puts an address that a client has given back into quarantine. One host can put as
// many there as one client may have on its link: else it could decline a whole pool.
func (s *Server) decline(now instant.Now, r *request, p netip.Prefix, eff *effect.Effects) {
	if r.linkLayer.IsValid() && s.quarantine.by[r.linkLayer] >= r.policy.ClientLimit {
		return
	}
	d := declined{until: now.Boot.After(declinedFor), bootID: s.bootID, by: r.linkLayer}
	if now.Synced {
		d.wall = now.Wall.Add(declinedFor)
	}
	s.quarantine.decline(now.Boot, p, d)
	s.networks.take(p)
	s.ledger.KeepRecord(declinedKey(p), eff)
}

func (q *quarantine) decline(now instant.Instant, p netip.Prefix, d declined) {
	q.declined[p] = d
	if d.by.IsValid() {
		q.by[d.by]++
	}
	q.look(now)
}

// await has a lease that has expired wait for its client.
func (q *quarantine) await(now instant.Instant, p netip.Prefix, place uint64) {
	q.expired[p] = expired{until: now.After(expiredFor), place: place}
	q.look(now)
}

// lookEvery is how often quarantine is looked through. It lasts longer by that much.
const lookEvery = 10 * time.Second

func (q *quarantine) look(now instant.Instant) { q.lookAt = min(q.lookAt, now.After(lookEvery)) }

// keepsFrom reports whether a lease waits for the IA of another place.
func (q *quarantine) keepsFrom(place uint64, p netip.Prefix) bool {
	if len(q.expired) == 0 {
		return false
	}
	x, waits := q.expired[p]
	return waits && x.place != place
}

// leave takes a lease that somebody has now out of quarantine.
func (q *quarantine) leave(p netip.Prefix) { delete(q.expired, p) }

func (q *quarantine) deadline() (instant.Instant, bool) { return q.lookAt, q.lookAt != instant.Never }

// expire ends what is over, and returns the addresses that had been declined.
func (q *quarantine) expire(now instant.Instant) (available []netip.Prefix) {
	if q.lookAt > now {
		return nil
	}
	maps.DeleteFunc(q.expired, func(_ netip.Prefix, x expired) bool { return x.until <= now })
	for p, d := range q.declined {
		if d.until > now {
			continue
		}
		delete(q.declined, p)
		if q.by[d.by]--; q.by[d.by] <= 0 {
			delete(q.by, d.by)
		}
		available = append(available, p)
	}
	if q.lookAt = instant.Never; len(q.declined)+len(q.expired) > 0 {
		q.look(now)
	}
	slices.SortFunc(available, netip.Prefix.Compare)
	return available
}

// declinedLetter begins the keys of declined addresses, after the role's space.
const declinedLetter = 'q'

// declinedKey is the key of the record of a declined address: the role's space, a letter, the
// address.
func declinedKey(p netip.Prefix) []byte {
	a := p.Addr().As16()
	return append(append([]byte(binding.Server6), declinedLetter), a[:]...)
}

// DeclinedRange is the range of keys in which records of declined addresses are.
func DeclinedRange() (from, to []byte) { return binding.Range(binding.Server6, declinedLetter) }

// record is the record of a declined address; nil if it is not in quarantine any more. It has the
// end by both clocks, and the boot that the first one is of.
func (q *quarantine) record(key string) []byte {
	if len(key) < 16 {
		return nil
	}
	p := netip.PrefixFrom(netip.AddrFrom16([16]byte([]byte(key[len(key)-16:]))), 128)
	d, in := q.declined[p]
	if !in {
		return nil
	}
	var wall int64
	if !d.wall.IsZero() {
		wall = d.wall.UnixNano()
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(d.until))
	return append(binary.BigEndian.AppendUint64(b, uint64(wall)), d.bootID...)
}

// ErrDeclined is the record of a declined address that cannot be read.
var ErrDeclined = errors.New("record of a declined address: malformed")

// RestoreDeclined takes in the record of a declined address; errors are ErrDeclined. After a
// reboot the wall clock says how much of the time is left; where it cannot be trusted, the time
// begins anew.
func (s *Server) RestoreDeclined(now instant.Now, key, value []byte) error {
	if len(key) < 16 || len(value) < 16 {
		return ErrDeclined
	}
	p := netip.PrefixFrom(netip.AddrFrom16([16]byte(key[len(key)-16:])), 128)
	d := declined{until: instant.Instant(binary.BigEndian.Uint64(value)), bootID: string(value[16:])}
	if wall := int64(binary.BigEndian.Uint64(value[8:])); wall != 0 {
		d.wall = time.Unix(0, wall)
	}
	if d.bootID != s.bootID {
		left := declinedFor
		if now.Synced && !d.wall.IsZero() {
			left = min(left, d.wall.Sub(now.Wall))
		}
		d.until = now.Boot.After(left)
	}
	s.quarantine.decline(now.Boot, p, d)
	s.networks.take(p)
	return nil
}

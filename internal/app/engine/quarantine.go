package engine

import (
	"hash/maphash"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
)

// quarantine refuses packets that made the core panic, and mutes links that keep sending such
// packets.
type quarantine struct {
	seed   maphash.Seed
	refuse map[uint64]struct{}
	order  []uint64
	panics uint64

	suspects map[suspectKey]*suspect
}

// suspectKey names whom to blame if a packet makes the core panic.
type suspectKey struct {
	link int
	of   [16]byte // what Role.Suspect returns
}

// suspecting is Role.Suspect.
type suspecting func(payload []byte) [16]byte

type suspect struct {
	times []instant.Instant
	until instant.Instant
}

const (
	maxFingerprints = 1024
	maxSuspects     = 4096
	panicsToMute    = 3
	panicWindow     = instant.Instant(time.Minute)
	muteFor         = instant.Instant(time.Minute)
)

func newQuarantine() quarantine {
	return quarantine{seed: maphash.MakeSeed(), refuse: make(map[uint64]struct{}), suspects: make(map[suspectKey]*suspect)}
}

func (q *quarantine) fingerprint(p *inbound.Packet) uint64 {
	return maphash.Bytes(q.seed, p.Payload)
}

func (q *quarantine) refuses(p *inbound.Packet, of suspecting, at instant.Instant) (effect.Drop, bool) {
	if q.panics == 0 {
		return 0, false
	}
	if s := q.suspects[suspectKey{p.Link, of(p.Payload)}]; s != nil && at < s.until {
		return effect.DropMuted, true
	}
	if _, ok := q.refuse[q.fingerprint(p)]; ok {
		return effect.DropRefusedFingerprint, true
	}
	return 0, false
}

// panicked remembers a packet that made the core panic, and reports whether its sender is muted
// from now on.
func (q *quarantine) panicked(p *inbound.Packet, of suspecting, at instant.Instant) (muted bool) {
	q.panics++
	if len(q.order) == maxFingerprints {
		delete(q.refuse, q.order[0])
		q.order = q.order[1:]
	}
	f := q.fingerprint(p)
	q.refuse[f] = struct{}{}
	q.order = append(q.order, f)
	k := suspectKey{p.Link, of(p.Payload)}
	s := q.suspects[k]
	if s == nil {
		if len(q.suspects) == maxSuspects {
			clear(q.suspects)
		}
		s = &suspect{}
		q.suspects[k] = s
	}
	s.times = append(s.times, at)
	if len(s.times) > panicsToMute {
		s.times = s.times[1:]
	}
	if muted = len(s.times) == panicsToMute && at-s.times[0] < panicWindow; muted {
		s.until = at + muteFor
	}
	return muted
}

package daemon

import (
	"hash/maphash"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
)

// guard refuses packets that made the core panic, and mutes links that keep
// sending such.
type guard struct {
	seed   maphash.Seed
	refuse map[uint64]struct{}
	order  []uint64
	links  map[int]*suspect
	panics uint64
}

type suspect struct {
	times []instant.Instant
	until instant.Instant
}

const (
	maxFingerprints = 1024
	panicsToMute    = 3
	panicWindow     = instant.Instant(time.Minute)
	muteFor         = instant.Instant(time.Minute)
)

func newGuard() guard {
	return guard{seed: maphash.MakeSeed(), refuse: make(map[uint64]struct{}), links: make(map[int]*suspect)}
}

func (g *guard) fingerprint(p *relay6.Packet) uint64 {
	return maphash.Bytes(g.seed, p.Payload)
}

func (g *guard) refuses(p *relay6.Packet, at instant.Instant) (relay6.Drop, bool) {
	if g.panics == 0 {
		return 0, false
	}
	if s := g.links[p.Link]; s != nil && at < s.until {
		return relay6.DropMuted, true
	}
	if _, ok := g.refuse[g.fingerprint(p)]; ok {
		return relay6.DropRefusedFingerprint, true
	}
	return 0, false
}

func (g *guard) panicked(p *relay6.Packet, at instant.Instant) {
	g.panics++
	if len(g.order) == maxFingerprints {
		delete(g.refuse, g.order[0])
		g.order = g.order[1:]
	}
	f := g.fingerprint(p)
	g.refuse[f] = struct{}{}
	g.order = append(g.order, f)
	s := g.links[p.Link]
	if s == nil {
		s = &suspect{}
		g.links[p.Link] = s
	}
	s.times = append(s.times, at)
	if len(s.times) > panicsToMute {
		s.times = s.times[1:]
	}
	if len(s.times) == panicsToMute && at-s.times[0] < panicWindow {
		s.until = at + muteFor
	}
}

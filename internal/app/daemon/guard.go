package daemon

import (
	"hash/maphash"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// guard refuses packets that made the core panic, and mutes links that keep
// sending such.
type guard struct {
	seed   maphash.Seed
	refuse map[uint64]struct{}
	order  []uint64
	panics uint64

	suspects map[suspectKey]*suspect
}

// suspectKey is a client link, be it that packets come from it, or that a
// Relay-reply is for it: what one client brings a server to answer must not mute
// the uplink for all others.
type suspectKey struct {
	link    int
	address [16]byte // link-address of a Relay-reply
}

func suspectOf(p *relay6.Packet) suspectKey {
	k := suspectKey{link: p.Link}
	if len(p.Payload) >= 18 && dhcp6.MessageType(p.Payload[0]) == dhcp6.RelayReply {
		copy(k.address[:], p.Payload[2:18])
	}
	return k
}

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

func newGuard() guard {
	return guard{seed: maphash.MakeSeed(), refuse: make(map[uint64]struct{}), suspects: make(map[suspectKey]*suspect)}
}

func (g *guard) fingerprint(p *relay6.Packet) uint64 {
	return maphash.Bytes(g.seed, p.Payload)
}

func (g *guard) refuses(p *relay6.Packet, at instant.Instant) (effect.Drop, bool) {
	if g.panics == 0 {
		return 0, false
	}
	if s := g.suspects[suspectOf(p)]; s != nil && at < s.until {
		return effect.DropMuted, true
	}
	if _, ok := g.refuse[g.fingerprint(p)]; ok {
		return effect.DropRefusedFingerprint, true
	}
	return 0, false
}

// panicked remembers a packet that made the core panic, and reports whether its
// link is muted from now on.
func (g *guard) panicked(p *relay6.Packet, at instant.Instant) (muted bool) {
	g.panics++
	if len(g.order) == maxFingerprints {
		delete(g.refuse, g.order[0])
		g.order = g.order[1:]
	}
	f := g.fingerprint(p)
	g.refuse[f] = struct{}{}
	g.order = append(g.order, f)
	k := suspectOf(p)
	s := g.suspects[k]
	if s == nil {
		if len(g.suspects) == maxSuspects {
			clear(g.suspects)
		}
		s = &suspect{}
		g.suspects[k] = s
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

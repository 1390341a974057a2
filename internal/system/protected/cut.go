package protected

import (
	"strings"
	"time"
)

// Cut is one way to take a hop's protection away, at one end.
type Cut struct {
	Name   string
	Notice []string // one of these is in what the end says of it; nil: it may be over before it looks
	Happen func(*End)
	Heal   func(*End) // nil: fairlead does it alone
}

// Cuts that both families have.
var (
	StrongSwanKilled = Cut{
		Name: "strongSwan killed", Notice: []string{"strongSwan cannot be reached"},
		Happen: func(e *End) { e.Net.Need(e.Charon.Kill()) }, Heal: func(e *End) { e.Net.Need(e.Charon.Start()) },
	}
	SAsDeleted = Cut{Name: "SAs deleted", Notice: []string{"SA"}, Happen: func(e *End) { e.IP("xfrm state deleteall") }}
	// RulesetFlushed is what a restart of a firewall does: with the other barrier there
	// it may be over before anybody looks.
	RulesetFlushed = Cut{Name: "ruleset flushed", Happen: func(e *End) { e.NFT("flush ruleset") }}
	GuardDeleted   = Cut{Name: "guard deleted", Notice: []string{"guard table"}, Happen: func(e *End) { e.NFT("delete table inet " + e.Table()) }}
)

// Try cuts at one end, waits until it is noticed there, heals, and waits until all
// ends are protected again. It returns how long it took until it was noticed, and
// from there, healed, until all was well.
func (c *Cut) Try(at *End, all ...*End) (noticed, recovered time.Duration) {
	at.Net.T.Helper()
	started := time.Now()
	c.Happen(at)
	if c.Notice != nil {
		at.Notices(started, c.Notice...)
	}
	noticed = time.Since(started)
	if c.Heal != nil {
		c.Heal(at)
	}
	healed := time.Now()
	for _, e := range all {
		e.BecomesProtected()
	}
	return noticed, time.Since(healed)
}

// NFT runs nft at the end, in words as people type them.
func (e *End) NFT(words string) {
	e.Net.T.Helper()
	e.Run(append([]string{"nft"}, strings.Fields(words)...)...)
}

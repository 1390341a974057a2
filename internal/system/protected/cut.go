package protected

import (
	"strings"
	"time"
)

// Cut is one way to remove a hop's protection, at one end.
type Cut struct {
	Name   string
	Notice []string // the problem that the end reports has one of these texts; nil: it may be over before the end looks
	Happen func(*End)
	Heal   func(*End) // nil: fairlead repairs it alone
}

// These cuts exist in both families.
var (
	StrongSwanKilled = Cut{
		Name: "strongSwan killed", Notice: []string{"strongSwan cannot be reached"},
		Happen: func(e *End) { e.Net.Need(e.Charon.Kill()) }, Heal: func(e *End) { e.Net.Need(e.Charon.Start()) },
	}
	SAsDeleted = Cut{Name: "SAs deleted", Notice: []string{"SA"}, Happen: func(e *End) { e.IP("xfrm state deleteall") }}
	// RulesetFlushed is what a restart of a firewall does. As the other barrier is still there,
	// it may be over before the end looks.
	RulesetFlushed = Cut{Name: "ruleset flushed", Happen: func(e *End) { e.NFT("flush ruleset") }}
	GuardDeleted   = Cut{Name: "guard deleted", Notice: []string{"guard table"}, Happen: func(e *End) { e.NFT("delete table inet " + e.Table()) }}
)

// Try cuts at one end, waits until that end has noticed it, heals, and waits until all ends are
// protected again. It returns how long it took until the cut was noticed, and how long from
// there, including the healing, until all ends were protected.
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

// NFT runs nft at the end. words are the arguments, as they are typed.
func (e *End) NFT(words string) {
	e.Net.T.Helper()
	e.Run(append([]string{"nft"}, strings.Fields(words)...)...)
}

package relay6

import (
	"math"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/probing"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// These are the texts of the notes on a Request that is not forwarded.
const (
	limitMet      = "request not forwarded: limit met"
	limitMetTwice = "request not forwarded: twice the limit met"
)

// exceeds returns the limit for which a Request is not forwarded, and the text of its note.
// A Request is not forwarded where nothing in it can be granted: it asks for prefixes alone,
// its client has none of them yet, and none is within the limits. Any other Request is
// forwarded, and its Reply is judged. A Request is not forwarded either where it asks for
// more than twice the limit of a client, or where its host or its link has been given twice
// its limit and the Request asks for more: without this rule a client could empty the
// server's pool through the relay.
func (r *Relay) exceeds(now instant.Now, l *link, m dhcp6.Message, client binding.Client, host linkaddr.Addr, eff *effect.Effects) (binding.Reason, string) {
	asked, given, fresh, held, beside := 0, 0, 0, 0, false
	for code, body := range m.Options().All() {
		if code == dhcp6.OptionIANA || code == dhcp6.OptionIATA {
			beside = true
		}
		if code != dhcp6.OptionIAPD {
			continue
		}
		ia, err := dhcp6.ParseIA(body)
		if err != nil {
			continue
		}
		asked += max(1, prefixesIn(ia))
		switch n := r.table.Charged(l.Name, client, ia.IAID, binding.Prefix); {
		case r.table.Holds(l.Name, client, ia.IAID, binding.Prefix):
			held++
		case n > 0:
			given += n // the server will give the same again
		default:
			fresh++
		}
	}
	if given+fresh == 0 {
		return binding.NoReason, ""
	}
	if asked > 2*l.policy.ClientLimit {
		return binding.LimitClient, limitMetTwice
	}
	if fresh > 0 {
		reason := r.table.Exhausted(l.Name, host, binding.Prefix, &l.policy)
		if reason == binding.LimitLink && r.hasRoom(now, l, client, eff) {
			but := l.policy
			but.LinkLimit = math.MaxInt / 2
			reason = r.table.Exhausted(l.Name, host, binding.Prefix, &but)
		}
		if reason != binding.NoReason {
			return reason, limitMetTwice
		}
	}
	if held > 0 || beside {
		return binding.NoReason, ""
	}
	reason := r.table.Room(l.Name, client, host, binding.Prefix, 1, given, &l.policy)
	if reason == binding.LimitLink && l.policy.OnLimit == delegation.LimitReplaceUnreachable {
		reason = binding.NoReason // the Reply decides, once the old next hop was probed
	}
	return reason, limitMet
}

// victim is the next hop whose delegation would make room on a full link, and whether that
// next hop answers, as far as it is known. On a link that has met its limit twice a Request
// is forwarded only once the victim was found not to answer: then there is room for the
// server's grant, and the server's pool is not emptied. The client's next Request meets the
// result.
type victim struct {
	hop           binding.NextHop
	asked, silent instant.Instant // when it was asked, and found silent; 0: it was not
}

// silentFor is how long a victim counts as silent, in nanoseconds.
const silentFor = 60e9

// hasRoom reports whether a client that does not answer makes room for another. Where it is
// not known whether the victim answers, hasRoom asks it.
func (r *Relay) hasRoom(now instant.Now, l *link, client binding.Client, eff *effect.Effects) bool {
	if l.policy.OnLimit != delegation.LimitReplaceUnreachable {
		return false
	}
	hop, ok := r.table.OldestOther(l.Name, client, binding.Prefix)
	if !ok {
		return false
	}
	v := &l.victim
	if v.hop != hop {
		*v = victim{hop: hop}
	}
	if v.silent != 0 && now.Boot-v.silent < silentFor {
		return true
	}
	if v.asked == 0 || now.Boot-v.asked >= probing.Longest {
		v.asked = now.Boot
		r.probe(binding.Question{NextHop: hop}, eff)
	}
	return false
}

// victimAnswered takes in whether a next hop answered that may be a victim.
func (r *Relay) victimAnswered(now instant.Now, hop binding.NextHop, answers bool) {
	l := r.links.Named(hop.Link)
	if l == nil || l.victim.hop != hop {
		return
	}
	if l.victim.silent = 0; !answers {
		l.victim.silent = now.Boot
	}
}

// prefixesIn is how many prefixes an IA_PD names.
func prefixesIn(ia dhcp6.IA) (n int) {
	for code := range ia.Options.All() {
		if code == dhcp6.OptionIAPrefix {
			n++
		}
	}
	return n
}

// LimitsMet are the limits that somebody has run into and that have no room yet, link
// by link.
func (r *Relay) LimitsMet() []delegation.LimitMet {
	return r.table.LimitsMet(func(link string) *delegation.Policy {
		if l := r.links.Named(link); l != nil {
			return &l.policy
		}
		return nil
	})
}

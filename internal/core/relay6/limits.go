package relay6

import (
	"math"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// What a Request that is not forwarded is told as.
const (
	limitMet      = "request not forwarded: limit met"
	limitMetTwice = "request not forwarded: twice the limit met"
)

// exceeds is the limit for which a Request goes no further, and how it is told. It
// stops only where nothing in it can be had: it asks for prefixes alone, and none of
// them is there already or fits. What goes on is judged by its Reply. It also stops if
// it asks for more than twice what a client may have, or if its host or its link has
// been given twice what they may have and it asks for more, whatever else it asks:
// else the server's pool could be emptied through us.
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

// victim is who would make room on a full link, and what is known of whether it is
// there. On a link that has met its limit twice a Request goes on only once it has been
// found not to answer: what the server then gives has room, so that its pool is not
// emptied. The client's next Request finds it out.
type victim struct {
	hop           binding.NextHop
	asked, silent instant.Instant // when; 0: not
}

// silentFor is how long a victim counts as silent, in nanoseconds.
const silentFor = 60e9

// hasRoom reports whether a client that does not answer makes room for another, and asks
// who would if that is not known.
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
	if v.asked == 0 || now.Boot-v.asked >= waitFor {
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

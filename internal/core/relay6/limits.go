package relay6

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

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
func (r *Relay) exceeds(now instant.Now, l *link, m dhcp6.Message, client string, host linkaddr.Addr, eff *effect.Effects) (delegation.Reason, string) {
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
		switch n := r.table.Charged(l.Name, client, ia.IAID, delegation.Prefix); {
		case r.table.Holds(l.Name, client, ia.IAID, delegation.Prefix):
			held++
		case n > 0:
			given += n // the server will give the same again
		default:
			fresh++
		}
	}
	if given+fresh == 0 {
		return delegation.NoReason, ""
	}
	if asked > 2*l.policy.ClientLimit {
		return delegation.LimitClient, limitMetTwice
	}
	if fresh > 0 {
		reason := r.table.Exhausted(l.Name, host, delegation.Prefix, &l.policy)
		if reason == delegation.LimitLink && r.hasRoom(now, l, client, eff) {
			but := l.policy
			but.LinkLimit = math.MaxInt / 2
			reason = r.table.Exhausted(l.Name, host, delegation.Prefix, &but)
		}
		if reason != delegation.NoReason {
			return reason, limitMetTwice
		}
	}
	if held > 0 || beside {
		return delegation.NoReason, ""
	}
	reason := r.table.Room(l.Name, client, host, delegation.Prefix, 1, given, &l.policy)
	if reason == delegation.LimitLink && l.policy.OnLimit == delegation.LimitReplaceUnreachable {
		reason = delegation.NoReason // the Reply decides, once the old next hop was probed
	}
	return reason, limitMet
}

// victim is who would make room on a full link, and what is known of whether it is
// there. On a link that has met its limit twice a Request goes on only once it has been
// found not to answer: what the server then gives has room, so that its pool is not
// emptied. The client's next Request finds it out.
type victim struct {
	hop           delegation.NextHop
	asked, silent instant.Instant // when; 0: not
}

// silentFor is how long a victim counts as silent, in nanoseconds.
const silentFor = 60e9

// hasRoom reports whether a client that does not answer makes room for another, and asks
// who would if that is not known.
func (r *Relay) hasRoom(now instant.Now, l *link, client string, eff *effect.Effects) bool {
	if l.policy.OnLimit != delegation.LimitReplaceUnreachable {
		return false
	}
	hop, ok := r.table.OldestOther(l.Name, client, delegation.Prefix)
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
	if v.asked == 0 || now.Boot-v.asked >= holdFor {
		v.asked = now.Boot
		r.probe(delegation.Question{Hop: hop}, eff)
	}
	return false
}

// victimAnswered takes in whether a next hop answered that may be a victim.
func (r *Relay) victimAnswered(now instant.Now, hop delegation.NextHop, answers bool) {
	l := r.byName[hop.Link]
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

// met are the limits that somebody has run into lately.
type met map[metKey]*metLimit

type metKey struct {
	reason delegation.Reason
	link   string
	client string        // of a client's limit
	host   linkaddr.Addr // of a client's or a host's
}

type metLimit struct {
	client string // who ran into it last
	kind   delegation.Kind
	last   time.Time
	times  uint64
}

// maxMet bounds them. When it is reached the one that is longest ago gives way.
const maxMet = 256

// note remembers that a client has run into a limit.
func (m met) note(now instant.Now, reason delegation.Reason, link, client string, host linkaddr.Addr, kind delegation.Kind) {
	k := metKey{reason: reason, link: link}
	switch reason {
	case delegation.LimitClient:
		k.client, k.host = strings.Clone(client), host
	case delegation.LimitHost:
		k.host = host
	}
	one := m[k]
	if one == nil {
		if len(m) == maxMet {
			oldest := slices.MinFunc(slices.Collect(maps.Keys(m)), func(a, b metKey) int { return m[a].last.Compare(m[b].last) })
			delete(m, oldest)
		}
		one = new(metLimit)
		m[k] = one
	}
	one.client, one.kind, one.last = strings.Clone(client), kind, now.Wall
	one.times++
}

// LimitMet is a limit that somebody has run into and that has no room yet.
type LimitMet struct {
	Reason delegation.Reason
	Link   string
	Client string        // who ran into it last
	Host   linkaddr.Addr // of a limit of clients or hosts; invalid: unknown
	Last   time.Time
	Times  uint64
}

// LimitsMet are the limits that somebody has run into and that have no room yet, link
// by link.
func (r *Relay) LimitsMet() []LimitMet {
	all := make([]LimitMet, 0, len(r.met))
	for k, one := range r.met {
		l := r.byName[k.link]
		if l == nil || r.table.Room(k.link, one.client, k.host, one.kind, 1, 0, &l.policy) != k.reason &&
			r.table.Exhausted(k.link, k.host, one.kind, &l.policy) != k.reason {
			continue
		}
		all = append(all, LimitMet{Reason: k.reason, Link: k.link, Client: one.client, Host: k.host, Last: one.last, Times: one.times})
	}
	slices.SortFunc(all, func(a, b LimitMet) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Host.String(), b.Host.String()))
	})
	return all
}

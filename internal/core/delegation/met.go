package delegation

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// met are the limits that clients have reached lately.
type met map[metKey]*metLimit

type metKey struct {
	reason binding.Reason
	link   string
	client binding.Client // of a client's limit
	host   linkaddr.Addr  // of a client's or a host's
}

type metLimit struct {
	client binding.Client // who ran into it last
	kind   binding.Kind
	last   time.Time
	times  uint64
}

// maxMet bounds them. Beyond it the oldest is forgotten.
const maxMet = 256

// MeetLimit remembers that a client has reached a limit.
func (t *Table) MeetLimit(now instant.Now, reason binding.Reason, link string, client binding.Client, host linkaddr.Addr, kind binding.Kind) {
	m := t.met
	k := metKey{reason: reason, link: link}
	switch reason {
	case binding.LimitClient:
		k.client, k.host = client, host
	case binding.LimitHost:
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
	one.client, one.kind, one.last = client, kind, now.Wall
	one.times++
}

// LimitMet is a limit that a client has reached and that has no room yet.
type LimitMet struct {
	Reason binding.Reason
	Link   string
	Client binding.Client // who ran into it last
	Host   linkaddr.Addr  // of a limit of clients or hosts; invalid: unknown
	Last   time.Time
	Times  uint64
}

// LimitsMet are the limits that clients have reached and that have no room yet, link by
// link. policyOf is the policy of a link, nil where there is none.
func (t *Table) LimitsMet(policyOf func(link string) *Policy) []LimitMet {
	all := make([]LimitMet, 0, len(t.met))
	for k, one := range t.met {
		p := policyOf(k.link)
		if p == nil || t.Room(k.link, one.client, k.host, one.kind, 1, 0, p) != k.reason && t.Exhausted(k.link, k.host, one.kind, p) != k.reason {
			continue
		}
		all = append(all, LimitMet{Reason: k.reason, Link: k.link, Client: one.client, Host: k.host, Last: one.last, Times: one.times})
	}
	slices.SortFunc(all, func(a, b LimitMet) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.Reason, b.Reason), a.Client.Compare(b.Client), cmp.Compare(a.Host.String(), b.Host.String()))
	})
	return all
}

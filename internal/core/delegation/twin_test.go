package delegation_test

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// twin is the table again, slow and obvious: a list, searched from end to end.
type twin struct {
	live   []binding.Binding
	blocks []delegation.Block
	given  []given
}

// given is what a server gave and the relay refused for a limit.
type given struct {
	delegation.Grant
	until instant.Instant
}

// forgive takes out of what was given all that a test names.
func (m *twin) forgive(which func(given) bool) { m.given = slices.DeleteFunc(m.given, which) }

// charge counts what was given and not installed. What is beyond twice the link's limit
// makes no difference.
func (m *twin) charge(now instant.Now, g delegation.Grant, p *delegation.Policy) {
	m.forgive(func(x given) bool { return x.VRF == g.VRF && x.Prefix == g.Prefix })
	n := 0
	for _, x := range m.given {
		if x.Link == g.Link && x.Kind == g.Kind {
			n++
		}
	}
	if g.Lifetime > 0 && n < 2*p.LinkLimit {
		m.given = append(m.given, given{g, now.Boot.After(g.Lifetime)})
	}
}

// exhausted is the limit that is met twice.
func (m *twin) exhausted(link string, host linkaddr.Addr, k binding.Kind, p *delegation.Policy) binding.Reason {
	onLink, ofHost := 0, 0
	for _, d := range m.live {
		if d.Link == link && d.Kind == k {
			onLink++
			if d.LinkLayer == host {
				ofHost++
			}
		}
	}
	for _, x := range m.given {
		if x.Link == link && x.Kind == k {
			onLink++
			if x.LinkLayer == host && !x.Contested {
				ofHost++
			}
		}
	}
	switch {
	case onLink >= 2*p.LinkLimit:
		return binding.LimitLink
	case p.HostLimit > 0 && host.IsValid() && ofHost >= 2*p.HostLimit:
		return binding.LimitHost
	}
	return binding.NoReason
}

// owed is how much of what was given, but for one prefix, is on a link, or behind one
// host there.
func (m *twin) owed(g delegation.Grant, host bool) (n int) {
	for _, x := range m.given {
		same := !x.Contested && x.LinkLayer == g.LinkLayer
		if x.Link == g.Link && x.Kind == g.Kind && !(x.VRF == g.VRF && x.Prefix == g.Prefix) && (!host || same) {
			n++
		}
	}
	return n
}

// use counts the prefixes of each client and each host of a link.
func (m *twin) use(link string, p *delegation.Policy) (u delegation.Use) {
	clients, hosts := make(map[binding.Client]int), make(map[linkaddr.Addr]int)
	for _, d := range m.live {
		if d.Link == link && d.Kind == binding.Prefix {
			clients[d.Client]++
			hosts[d.LinkLayer]++
		}
	}
	delete(hosts, linkaddr.Addr{})
	for _, n := range clients {
		if u.ClientMost = max(u.ClientMost, n); n >= p.ClientLimit {
			u.ClientsFull++
		}
	}
	for _, n := range hosts {
		if p.HostLimit == 0 {
			break
		}
		if u.HostMost = max(u.HostMost, n); n >= p.HostLimit {
			u.HostsFull++
		}
	}
	return u
}

func (m *twin) at(vrf string, p netip.Prefix) (d binding.Binding, ok bool) {
	for _, d := range m.live {
		if d.VRF == vrf && d.Prefix == p {
			return d, true
		}
	}
	return d, false
}

func (m *twin) drop(vrf string, p netip.Prefix) {
	m.live = slices.DeleteFunc(m.live, func(d binding.Binding) bool { return d.VRF == vrf && d.Prefix == p })
}

func ended(d binding.Binding, r binding.Reason) binding.Event {
	return binding.Event{Kind: binding.Ended, Reason: r, Old: d}
}

// end takes away all that a test names.
func (m *twin) end(r binding.Reason, which func(binding.Binding) bool) (events []binding.Event) {
	for _, d := range slices.Clone(m.live) {
		if which(d) {
			m.drop(d.VRF, d.Prefix)
			events = append(events, ended(d, r))
		}
	}
	return events
}

func (m *twin) learn(now instant.Now, g delegation.Grant, terms delegation.Terms) []binding.Event {
	if g.Lifetime == 0 && g.Preferred == 0 {
		return m.withdraw(now, g, terms)
	}
	fresh := binding.Binding{
		Link: g.Link, VRF: g.VRF, Prefix: g.Prefix, Kind: g.Kind, Client: g.Client, IAID: g.IAID, NextHop: g.NextHop, LinkLayer: g.LinkLayer, Line: g.Line, Exclude: g.Exclude,
		Preferred: now.Boot.After(g.Preferred), Valid: now.Boot.After(g.Lifetime), Lifetime: g.Lifetime,
		Server: g.Server, Source: g.Source, Granted: now.Wall, Changed: now.Wall,
	}
	old, had := m.at(g.VRF, g.Prefix)
	elsewhere := had && (old.Link != g.Link || old.NextHop != g.NextHop || old.LinkLayer.IsValid() && g.LinkLayer.IsValid() && old.LinkLayer != g.LinkLayer)
	sameHolder := had && old.Link == g.Link && old.Client == g.Client && old.Kind == g.Kind
	alias := had && isAlias(old, g) && terms.Policy.Move != delegation.MoveFollow
	if alias {
		elsewhere, fresh.NextHop = false, old.NextHop
	}
	if elsewhere && sameHolder && old.NextHop == g.NextHop && m.stays(now, g, old, terms) != binding.NoReason {
		elsewhere, fresh.LinkLayer = false, old.LinkLayer // only the link-layer address differs
	}
	ev := binding.Event{Kind: binding.Granted, New: fresh}
	if alias {
		ev.AskedFrom = g.NextHop
	}
	if had {
		ev.Old = old
		ev.Kind = binding.Moved
		if !elsewhere && sameHolder {
			ev.Kind = binding.Extended
		}
		if !elsewhere && !g.LinkLayer.IsValid() {
			ev.New.LinkLayer = old.LinkLayer
		}
	}
	if g.Contested && !(sameHolder && old.NextHop == g.NextHop && old.LinkLayer.IsValid()) {
		ev.New.LinkLayer = linkaddr.Addr{}
	}
	reason := m.forbidden(g, terms)
	if reason == binding.NoReason && elsewhere {
		reason = m.stays(now, g, old, terms)
	}
	var events []binding.Event
	if reason == binding.NoReason && !sameHolder {
		m.drop(g.VRF, g.Prefix) // what is replaced takes no room
		reason = m.room(g, terms.Policy)
		if reason == binding.LimitLink && terms.Policy.OnLimit == delegation.LimitReplaceUnreachable {
			events = m.evict(g, terms)
			if len(events) > 0 {
				reason = m.room(g, terms.Policy)
			}
		}
		if reason != binding.NoReason && had {
			m.live = append(m.live, old)
		}
	}
	if reason == binding.LimitClient || reason == binding.LimitLink || reason == binding.LimitHost {
		m.charge(now, g, terms.Policy)
	}
	if reason != binding.NoReason {
		ev.Kind, ev.Reason = binding.Refused, reason
		return append(events, ev)
	}
	if sameHolder {
		ev.New.Granted = old.Granted
	}
	if sameHolder && !elsewhere {
		ev.New.Standing = old.Standing
		ev.New.Standing.GivenUp = false
	}
	m.drop(g.VRF, g.Prefix)
	m.live = append(m.live, ev.New)
	if !sameHolder {
		m.forgive(func(x given) bool { return x.VRF == g.VRF && x.Prefix == g.Prefix })
	}
	return append(events, ev)
}

// isAlias reports whether a grant goes to another address of who holds d: of the
// four things that tell the holder all are the same, and only one host is known to
// use that address.
func isAlias(d binding.Binding, g delegation.Grant) bool {
	type holder struct {
		link   string
		client binding.Client
		iaid   uint32
		host   linkaddr.Addr
		kind   binding.Kind
	}
	same := holder{d.Link, d.Client, d.IAID, d.LinkLayer, d.Kind} == holder{g.Link, g.Client, g.IAID, g.LinkLayer, g.Kind}
	return same && d.LinkLayer != linkaddr.Addr{} && d.NextHop != g.NextHop && !g.Contested
}

// follow moves a delegation to another address of the host that it is bound to.
func (m *twin) follow(vrf string, p netip.Prefix, client binding.Client, to binding.NextHop) []binding.Event {
	for i, d := range m.live {
		bound := d.LinkLayer != linkaddr.Addr{} && d.LinkLayer == to.LinkLayer
		if d.VRF == vrf && d.Prefix == p && d.Link == to.Link && d.Client == client && bound && d.NextHop != to.Addr {
			m.live[i].NextHop = to.Addr
			return []binding.Event{{Kind: binding.Moved, Old: d, New: m.live[i]}}
		}
	}
	return nil
}

// stays is why a delegation does not go elsewhere.
func (m *twin) stays(now instant.Now, g delegation.Grant, old binding.Binding, terms delegation.Terms) binding.Reason {
	if terms.Policy.Move == delegation.MoveDeny {
		return binding.MoveDenied
	}
	if terms.Policy.Move == delegation.MoveFollow {
		return binding.NoReason
	}
	q := binding.Question{NextHop: binding.NextHop{Link: old.Link, Addr: old.NextHop, LinkLayer: old.LinkLayer}}
	if old.Client != g.Client {
		if old.Standing.GivenUp {
			return binding.NoReason
		}
		lately := old.Standing.Renewed > 0 && now.Boot < old.Standing.Renewed.After(time.Minute)
		if old.LinkLayer != (linkaddr.Addr{}) && !lately && !old.Standing.Doubted {
			q.Prefix = old.Prefix // to answer is not enough
		}
	}
	if keeps, asked := terms.Answered[q]; asked && !keeps {
		return binding.NoReason
	}
	return binding.StillAnswers
}

// mine reports whether a message is the holder's.
func mine(d binding.Binding, r delegation.Named) bool {
	if d.Link != r.Link || d.Client != r.Client || d.IAID != r.IAID || d.Kind != r.Kind {
		return false
	}
	if d.LinkLayer == (linkaddr.Addr{}) {
		return !r.Contested && r.Source == d.NextHop
	}
	return r.LinkLayer == d.LinkLayer
}

func (m *twin) renewing(now instant.Now, r delegation.Named, xid uint32) {
	for i, d := range m.live {
		if slices.Contains(r.Prefixes, d.Prefix) && d.VRF == r.VRF && mine(d, r) {
			m.live[i].Standing = binding.Standing{Renewed: now.Boot, XID: xid, GivenUp: d.Standing.GivenUp}
		}
	}
}

func (m *twin) givesUp(r delegation.Named, server string, xid uint32) {
	for i, d := range m.live {
		asked := d.Standing.Renewed > 0 && d.Standing.XID == xid && d.Server == server
		if asked && mine(d, r) && !slices.Contains(r.Prefixes, d.Prefix) {
			m.live[i].Standing.GivenUp = true
		}
	}
}

// withdraw is a valid lifetime of 0, which counts for the holder, and for another
// if the delegation could move there.
func (m *twin) withdraw(now instant.Now, g delegation.Grant, terms delegation.Terms) []binding.Event {
	m.forgive(func(x given) bool {
		return x.VRF == g.VRF && x.Prefix == g.Prefix && x.Link == g.Link && x.Client == g.Client && x.IAID == g.IAID
	})
	old, had := m.at(g.VRF, g.Prefix)
	if !had || old.Link != g.Link || old.Client != g.Client || old.IAID != g.IAID {
		return nil
	}
	there := isAlias(old, g) || old.NextHop == g.NextHop && (!old.LinkLayer.IsValid() || !g.LinkLayer.IsValid() || old.LinkLayer == g.LinkLayer)
	if reason := m.stays(now, g, old, terms); !there && reason != binding.NoReason {
		return []binding.Event{{Kind: binding.Refused, Reason: reason, Old: old, New: binding.Binding{
			Link: g.Link, VRF: g.VRF, Prefix: g.Prefix, Kind: g.Kind, Client: g.Client, IAID: g.IAID, NextHop: g.NextHop, LinkLayer: g.LinkLayer, Line: g.Line, Exclude: g.Exclude,
			Preferred: now.Boot, Valid: now.Boot, Server: g.Server, Source: g.Source, Granted: now.Wall, Changed: now.Wall,
		}}}
	}
	return m.end(binding.Withdrawn, func(d binding.Binding) bool { return d == old })
}

func (m *twin) forbidden(g delegation.Grant, terms delegation.Terms) binding.Reason {
	if g.Preferred > g.Lifetime {
		return binding.BadLifetimes
	}
	for _, b := range m.blocks {
		if (!b.Prefix.IsValid() || b.Prefix == g.Prefix) && (b.Client.IsZero() || b.Client == g.Client) && (b.Link == "" || b.Link == g.Link) {
			return binding.Blocked
		}
	}
	for _, never := range []string{"::/8", "fe80::/10", "ff00::/8"} {
		if netip.MustParsePrefix(never).Overlaps(g.Prefix) {
			return binding.NotDelegable
		}
	}
	if terms.Reserved(&g) {
		return binding.NotDelegable
	}
	if g.Kind == binding.Prefix && (!within(terms.Peer, g.Prefix) || !within(terms.Policy.Delegable, g.Prefix)) {
		return binding.NotDelegable
	}
	for _, d := range m.live {
		if terms.Policy.UniqueDUID && d.Client == g.Client && d.Link != g.Link && !(d.VRF == g.VRF && d.Prefix == g.Prefix) {
			return binding.DuplicateDUID
		}
	}
	for _, d := range m.live {
		if d.VRF == g.VRF && d.Prefix != g.Prefix && d.Prefix.Overlaps(g.Prefix) && !excludes(d.Exclude, g.Prefix) && !excludes(g.Exclude, d.Prefix) && (d.Client != g.Client || d.Link != g.Link) {
			return binding.Overlap
		}
	}
	return binding.NoReason
}

// excludes reports whether a prefix lies in what is excluded from another.
func excludes(excluded, p netip.Prefix) bool {
	return excluded.IsValid() && excluded.Overlaps(p) && excluded.Bits() <= p.Bits()
}

func within(ranges []trust.Range, p netip.Prefix) bool {
	for _, r := range ranges {
		if r.Prefix.Overlaps(p) && r.Prefix.Bits() <= p.Bits() && r.Min <= p.Bits() && p.Bits() <= r.Max {
			return true
		}
	}
	return len(ranges) == 0
}

func (m *twin) count(which func(binding.Binding) bool) (n int) {
	for _, d := range m.live {
		if which(d) {
			n++
		}
	}
	return n
}

func (m *twin) room(g delegation.Grant, p *delegation.Policy) binding.Reason {
	onLink := func(d binding.Binding) bool { return d.Link == g.Link && d.Kind == g.Kind }
	// Where hosts are counted, a client is one host's, as far as it is known.
	same := func(d binding.Binding) bool {
		return p.HostLimit == 0 || !d.LinkLayer.IsValid() || !g.LinkLayer.IsValid() || d.LinkLayer == g.LinkLayer
	}
	owed := 0
	if p.OnLimit == delegation.LimitRefuse {
		owed = m.owed(g, false)
	}
	switch {
	case m.count(func(d binding.Binding) bool { return onLink(d) && d.Client == g.Client && same(d) }) >= p.ClientLimit:
		return binding.LimitClient
	case m.count(onLink)+owed >= p.LinkLimit:
		return binding.LimitLink
	case p.HostLimit > 0 && g.LinkLayer.IsValid() &&
		m.count(func(d binding.Binding) bool { return onLink(d) && d.LinkLayer == g.LinkLayer })+m.owed(g, true) >= p.HostLimit:
		return binding.LimitHost
	}
	return binding.NoReason
}

// evict ends what the client of the first delegation to end has behind a next
// hop that was asked and is silent.
func (m *twin) evict(g delegation.Grant, terms delegation.Terms) []binding.Event {
	others := slices.Clone(m.live)
	others = slices.DeleteFunc(others, func(d binding.Binding) bool {
		return d.Link != g.Link || d.Kind != g.Kind || d.Client == g.Client
	})
	if len(others) == 0 {
		return nil
	}
	v := slices.MinFunc(others, func(a, b binding.Binding) int {
		return cmp.Or(cmp.Compare(a.Valid, b.Valid), a.Prefix.Compare(b.Prefix))
	})
	if answers, asked := terms.Answered[binding.Question{NextHop: binding.NextHop{Link: v.Link, Addr: v.NextHop, LinkLayer: v.LinkLayer}}]; !asked || answers {
		return nil
	}
	return m.end(binding.Evicted, func(d binding.Binding) bool {
		return d.Link == v.Link && d.Kind == v.Kind && d.Client == v.Client && d.NextHop == v.NextHop && d.LinkLayer == v.LinkLayer
	})
}

func (m *twin) release(r delegation.Named) (events []binding.Event, mismatched int) {
	holder := func(d binding.Binding) bool {
		return d.Link == r.Link && d.Client == r.Client && d.IAID == r.IAID && d.Kind == r.Kind
	}
	named := func(d binding.Binding) bool {
		return holder(d) && (len(r.Prefixes) == 0 || slices.Contains(r.Prefixes, d.Prefix))
	}
	own := func(d binding.Binding) bool { return named(d) && mine(d, r) }
	for i, d := range m.live {
		foreign := slices.Contains(r.Prefixes, d.Prefix) && d.VRF == r.VRF && !holder(d)
		unnamed := len(r.Prefixes) == 0 && d.Client == r.Client && d.IAID == r.IAID && d.Kind == r.Kind && d.Link != r.Link
		if named(d) && !own(d) || foreign || unnamed {
			m.live[i].Standing.Doubted = true
		}
	}
	mismatched = m.count(named) - m.count(own)
	for _, p := range r.Prefixes {
		mismatched += m.count(func(d binding.Binding) bool { return d.VRF == r.VRF && d.Prefix == p && !holder(d) })
	}
	return m.end(binding.Released, own), mismatched
}

func (m *twin) clear(s delegation.Selection) []binding.Event {
	m.forgive(func(x given) bool {
		d := binding.Binding{Link: x.Link, Client: x.Client, Prefix: x.Prefix}
		return len((&twin{live: []binding.Binding{d}}).clear(s)) > 0
	})
	return m.end(binding.Cleared, func(d binding.Binding) bool {
		if s.All {
			return true
		}
		any := s.Prefix.IsValid() || !s.Client.IsZero() || s.Link != ""
		return any && (!s.Prefix.IsValid() || s.Prefix == d.Prefix) && (s.Client.IsZero() || s.Client == d.Client) && (s.Link == "" || s.Link == d.Link)
	})
}

func (m *twin) rename(link, to string) {
	for i := range m.live {
		if m.live[i].Link == link {
			m.live[i].Link = to
		}
	}
	for i := range m.given {
		if m.given[i].Link == link {
			m.given[i].Link = to
		}
	}
}

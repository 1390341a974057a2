package relay6

import (
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/wire/dhcp6"
)

// verdict is the result of learning from a Reply.
type verdict struct {
	probe      *binding.Question // nothing was learned: this question has to be answered first
	onlyExcess bool              // everything in it exceeds a limit
	change     effect.ChangeID   // what the Reply must wait for
	extends    bool              // all that the Reply grants is durable already
	client     binding.Client
}

// learn takes in every lease of every IA of a Reply, each with its own
// lifetimes (RFC 8987 G-2, G-3, G-8). An IA or a prefix that is not there, and
// an IA with only a status, say nothing: they end nothing. The answer to a Release
// grants nothing, whatever it carries: the client has gone.
func (r *Relay) learn(now instant.Now, to addressee, answered map[binding.Question]bool, eff *effect.Effects) verdict {
	var v verdict
	m, err := dhcp6.ParseMessage(to.inner)
	if err != nil {
		return v
	}
	duid, ok := m.ClientID()
	if !ok {
		return v
	}
	v.client = binding.DUID(duid)
	l := to.link
	if _, ok := m.Options().First(dhcp6.OptionUnicast); ok {
		r.unicast++
		eff.Note(effect.Note{Kind: effect.NoteServerUnicast, Link: l.Name, Peer: to.peer.Name, Client: v.client, XID: m.TransactionID(), Text: "server allows unicast: renewals may pass the relay by"})
	}
	by, contested := r.neighbours.LastUsedBy(now.Boot, l.Index, to.client)
	g := delegation.Grant{
		Link: l.Name, VRF: l.VRF, Client: v.client, NextHop: to.client,
		LinkLayer: by, Contested: contested, Line: l.lineOf(to.client, string(duid)), Server: to.peer.Name, Source: binding.FromReply,
	}
	terms := r.terms(to, answered)
	leases, beside := r.leases(m, l)
	gone := r.answersRelease(now, l, to.client, m, string(duid))
	if v.probe = r.needsProbe(now, g, leases, gone, &terms); v.probe != nil {
		return v
	}
	if l.policy.Move == delegation.MoveProbe && !gone && !failed(m.Options()) {
		r.givesUp(m, &g)
	}
	r.takeIn(now, to, g, leases, beside, gone, &terms, &v, eff)
	return v
}

// terms are those of the grants of a server to a client.
func (r *Relay) terms(to addressee, answered map[binding.Question]bool) delegation.Terms {
	policy := &to.link.policy
	r.within = len(to.peer.Delegable)+len(policy.Delegable) > 0
	return delegation.Terms{Policy: policy, Peer: to.peer.Delegable, Reserved: r.mayNot, Answered: answered}
}

// needsProbe is the question that has to be answered before anything is learned of these
// leases, so that a message is learned as a whole or not yet; nil if there is none.
func (r *Relay) needsProbe(now instant.Now, g delegation.Grant, leases []lease, gone bool, terms *delegation.Terms) *binding.Question {
	for _, ls := range leases {
		if r.table.WouldEnd(ls.grant(g)) {
			terms.Ending[ls.kind]++
		}
	}
	for _, ls := range leases {
		if gone && !ls.ends() {
			continue
		}
		if q := r.table.NeedsProbe(now, ls.grant(g), *terms); q != nil {
			return q
		}
	}
	clear(terms.Ending[:])
	return nil
}

// takeIn learns the leases that a server gives to a client by one message, and fills in the
// verdict. The answer to a Release (gone) grants nothing.
func (r *Relay) takeIn(now instant.Now, to addressee, g delegation.Grant, leases []lease, beside, gone bool, terms *delegation.Terms, v *verdict, eff *effect.Effects) {
	l := to.link
	r.events = r.events[:0]
	for _, ls := range leases {
		if gone && !ls.ends() {
			r.events = append(r.events, delegation.Refuse(now, ls.grant(g), binding.AnswersRelease))
			r.table.Charge(now, ls.grant(g), terms.Policy)
			continue
		}
		r.events = r.table.Learn(r.events, now, r.proof(ls.grant(g), l), *terms)
	}
	v.extends = true
	excess := 0
	for i := range r.events {
		switch e := &r.events[i]; e.Kind {
		case binding.Refused:
			r.refusals[e.Reason]++
			l.counters.Refused++
			r.explain(e)
			if e.Reason.IsLimit() {
				excess++
			}
		case binding.Granted, binding.Moved:
			v.extends = false
		case binding.Extended:
			if e.AskedFrom.IsValid() {
				r.askOther(now, e, eff)
			}
		}
	}
	v.onlyExcess = excess > 0 && excess == len(leases) && !beside
	v.change = r.ledger.Tell(now, ledger.Client{Link: l.Name, ID: v.client}, r.events, &v.extends, eff)
	r.traceLearned(eff, to, v, r.events)
}

// givesUp takes note of the prefixes that the answer to the holder's Renew or Rebind leaves
// out: the answer has the status NoBinding for their IA (RFC 8415 section 18.3.4), or another
// prefix in it.
func (r *Relay) givesUp(m dhcp6.Message, g *delegation.Grant) {
	for code, ia := range m.Options().IAs() {
		if ia.T1 > ia.T2 && ia.T2 > 0 { // RFC 8415 section 21.21
			continue
		}
		left := delegation.Named{
			Link: g.Link, VRF: g.VRF, Client: g.Client, IAID: ia.IAID, Kind: kindOf(code),
			Source: g.NextHop, LinkLayer: g.LinkLayer, Contested: g.Contested,
		}
		var some [8]netip.Prefix
		left.Prefixes = some[:0]
		another := false
		for inner, b := range ia.Options.All() {
			if p, _, valid, ok := leaseOption(inner, b); ok {
				left.Prefixes = append(left.Prefixes, p)
				another = another || valid > 0
			}
		}
		if another || noBinding(ia.Options) {
			r.table.GivesUp(left, g.Server, m.TransactionID())
		}
	}
}

func noBinding(o dhcp6.Options) bool {
	b, ok := o.First(dhcp6.OptionStatusCode)
	if !ok {
		return false
	}
	s, err := dhcp6.ParseStatus(b)
	return err == nil && s.Code == dhcp6.StatusNoBinding
}

// lease is one IAPREFIX or IAADDR of a Reply.
type lease struct {
	kind             binding.Kind
	iaid             uint32
	prefix           netip.Prefix
	preferred, valid time.Duration
	exclude          netip.Prefix
}

func (ls lease) grant(g delegation.Grant) delegation.Grant {
	g.Kind, g.IAID, g.Prefix, g.Preferred, g.Lifetime, g.Exclude = ls.kind, ls.iaid, ls.prefix, ls.preferred, ls.valid, ls.exclude
	return g
}

// ends reports whether the server takes the lease back.
func (ls lease) ends() bool { return ls.valid == 0 && ls.preferred == 0 }

// leases reads the leases of a Reply that concern us: every prefix, and the
// addresses that do not lie in a prefix of the link anyway. Those that end come first,
// wherever they stand in the Reply, so that they make room for the others. Beside
// reports whether it brings the client anything else. What a client discards, or was
// told by a status that it has not got, is passed over. There are as many as there is
// room for in a datagram.
func (r *Relay) leases(m dhcp6.Message, l *link) (found []lease, beside bool) {
	if failed(m.Options()) {
		return nil, false
	}
	for code, ia := range m.Options().IAs() {
		if failed(ia.Options) || ia.T1 > ia.T2 && ia.T2 > 0 { // RFC 8415 section 21.21
			continue
		}
		for inner, b := range ia.Options.All() {
			p, preferred, valid, ok := leaseOption(inner, b)
			if !ok || (inner == dhcp6.OptionIAPrefix) != (code == dhcp6.OptionIAPD) {
				continue
			}
			if inner == dhcp6.OptionIAAddr && l.Covers(p.Addr()) {
				beside = true
				continue
			}
			found = append(found, lease{kind: kindOf(code), iaid: ia.IAID, prefix: p, preferred: preferred, valid: valid, exclude: excluded(inner, b)})
		}
	}
	endsFirst(found)
	return found, beside
}

// endsFirst brings the leases that end before the others.
func endsFirst(leases []lease) {
	slices.SortStableFunc(leases, func(a, b lease) int {
		switch {
		case a.ends() == b.ends():
			return 0
		case a.ends():
			return -1
		}
		return 1
	})
}

// leaseOption reads an IAPREFIX or IAADDR; ok is false for anything else, and
// for one with a status other than success.
func leaseOption(code dhcp6.OptionCode, b []byte) (p netip.Prefix, preferred, valid time.Duration, ok bool) {
	switch code {
	case dhcp6.OptionIAPrefix:
		v, err := dhcp6.ParseIAPrefix(b)
		if err != nil || failed(v.Options) {
			return p, 0, 0, false
		}
		return v.Prefix.Masked(), v.Preferred.Duration(), v.Valid.Duration(), true
	case dhcp6.OptionIAAddr:
		v, err := dhcp6.ParseIAAddr(b)
		if err != nil || failed(v.Options) {
			return p, 0, 0, false
		}
		return netip.PrefixFrom(v.Address, 128), v.Preferred.Duration(), v.Valid.Duration(), true
	}
	return p, 0, 0, false
}

// excluded is what a Prefix Exclude option in an IAPREFIX names (RFC 6603), or the
// zero prefix.
func excluded(code dhcp6.OptionCode, b []byte) netip.Prefix {
	if code != dhcp6.OptionIAPrefix {
		return netip.Prefix{}
	}
	v, err := dhcp6.ParseIAPrefix(b)
	if err != nil {
		return netip.Prefix{}
	}
	o, ok := v.Options.First(dhcp6.OptionPDExclude)
	if !ok {
		return netip.Prefix{}
	}
	p, err := dhcp6.ParsePDExclude(o, v.Prefix.Masked())
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func failed(o dhcp6.Options) bool {
	b, ok := o.First(dhcp6.OptionStatusCode)
	if !ok {
		return false
	}
	s, err := dhcp6.ParseStatus(b)
	return err != nil || s.Code != dhcp6.StatusSuccess
}

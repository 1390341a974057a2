package server6_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// modelRuns is how many worlds TestModel plays.
var modelRuns = flag.Uint64("model-runs", 24, "worlds that the model test plays, each with its seed")

// TestModel plays random clients in small pools. Each answer is held against the twin. After each write and each
// datagram the store has to have all that clients have been told, and at times the process dies there.
func TestModel(t *testing.T) {
	for seed := range *modelRuns {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			m := newModel(t, seed)
			for range 600 {
				m.step()
			}
			m.quiet()
			m.agree()
		})
	}
}

// model is a world with small pools in one network, to which both lan0 and the relay agent lead, and the twin of its
// server.
type model struct {
	*world
	twin
	r       *rand.Rand
	players []*player
	short   bool // lifetimes are a tenth
	doomed  int  // after that many writes and datagrams the process dies; 0: it does not

	asked map[int]*question // by transaction-id
	log   []string          // the newest of what was said and heard
}

// player is a client, on lan0 or behind the relay agent.
type player struct {
	client
	link string
	last answer       // the last answer that it got
	open map[int]bool // transaction-ids of messages that may be answered yet
}

// question is a message of a player.
type question struct {
	query
	p      *player
	at     instant.Instant
	strict bool // nothing is under way: the answer must be exactly what the twin wants
}

// The reserved leases are of the first player. The address is not reserved all the time.
var (
	owner           = somebody(0)
	reservedAddress = cidr("2001:db8:1::102/128")
	reservedPrefix  = cidr("2001:db8:4000:300::/56")
)

func newModel(t *testing.T, seed uint64) *model {
	m := &model{r: rand.New(rand.NewPCG(seed, 12)), asked: make(map[int]*question)}
	m.twin = twin{
		rapid:    seed%3 == 0,
		spaces:   map[int]space{3: {cidr("2001:db8:1::100/125"), 128, 128}, 25: {cidr("2001:db8:4000::/52"), 54, 56}},
		reserved: map[netip.Prefix]string{reservedAddress: owner.duid, reservedPrefix: owner.duid},
		has:      make(map[netip.Prefix]promise), waits: make(map[netip.Prefix]wait), declined: make(map[netip.Prefix]decline),
	}
	m.world = newWorld(t, m.configure)
	m.sees, m.deed = m.saw, m.cut
	for n := range 7 {
		p := &player{client: somebody(n), link: "lan0", open: make(map[int]bool)}
		if n%2 == 1 {
			p.link = "network/2001:db8:1::/64"
		}
		m.players = append(m.players, p)
	}
	return m
}

func (m *model) configure(c *server6.Config) {
	c.Links[0].Limits.HostLimit = 0
	sn := &c.Networks[0].Subnets[0]
	pool("2001:db8:1::100", "2001:db8:1::107")(sn)
	pdPool(server6.PrefixPool{Prefix: m.spaces[25].whole, Length: 56, Min: 54, Max: 56})(sn)
	sn.RapidCommit = m.rapid
	if m.short {
		sn.Lifetimes = server6.Lifetimes{Preferred: 300, Valid: 400}
	}
	of := server6.Reservation{DUID: dhcp6.DUID(owner.duid), Prefixes: []netip.Prefix{reservedPrefix}}
	if m.reserved[reservedAddress] != "" {
		of.Addresses = []netip.Addr{reservedAddress.Addr()}
	}
	sn.Reservations = []server6.Reservation{of}
}

// note remembers what happened, for a failure.
func (m *model) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
	m.log = m.log[max(0, len(m.log)-60):]
}

// fail ends the test with what came before.
func (m *model) fail(format string, args ...any) {
	m.Helper()
	m.log = append(m.log, fmt.Sprintf(format, args...), fmt.Sprintf("has %v\nwaits %v\ndeclined %v", m.has, m.waits, m.declined))
	m.Fatal(strings.ReplaceAll(strings.Join(m.log, "\n"), "2001:db8:", ""))
}

// step is one thing that happens.
func (m *model) step() {
	defer m.dies()
	p := m.players[m.r.IntN(len(m.players))]
	switch n := m.r.IntN(24); n {
	case 0, 1, 2, 3, 4:
		m.say(p, query{kind: dhcp6.Solicit, rapid: m.rapid && n < 2, ias: m.asksFor(p, m.wishes)})
	case 5, 6:
		m.say(p, query{kind: dhcp6.Request, ias: m.asksFor(p, m.wishes)})
	case 7, 8, 9, 10: // the client takes what it was offered, perhaps long ago
		m.say(p, query{kind: dhcp6.Request, ias: p.offered()})
	case 11, 12, 13:
		m.say(p, query{kind: []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind}[n%2], ias: m.asksFor(p, m.own)})
	case 14, 15:
		if kind := []dhcp6.MessageType{dhcp6.Release, dhcp6.Decline}[n%2]; len(p.open) == 0 && (kind == dhcp6.Release || m.r.IntN(3) == 0) {
			m.say(p, query{kind: kind, ias: m.asksFor(p, m.leasesOf)})
		}
	case 16, 17:
		if !m.slow && m.keepErr == nil {
			m.pass(time.Duration(1+m.r.IntN(3000)) * time.Second)
		}
	case 18:
		m.keepErr = []error{nil, errStoreDown}[m.r.IntN(2)]
	case 19:
		if m.slow = m.r.IntN(3) == 0; !m.slow {
			m.finish(len(m.flight))
			m.pass(0)
		}
	case 20:
		m.finish(1 + m.r.IntN(3))
	case 21:
		if m.r.IntN(3) == 0 {
			m.begin()
		}
	case 22:
		m.doomed = 1 + m.r.IntN(6)
	case 23:
		m.quiet()
		m.agree()
		m.operator()
	}
}

// operator is what an operator does.
func (m *model) operator() {
	switch m.r.IntN(4) {
	case 0:
		for _, p := range sorted(m.has) {
			if m.r.IntN(4) == 0 {
				m.note("clear %v", p)
				m.ends(p, min(m.has[p].until, m.now.Boot.After(twinCleared)), true)
				m.clears(delegation.Selection{Prefix: p})
			}
		}
	case 1:
		m.short = !m.short
		m.reconfigure(m.configure)
	case 2:
		if m.reserved[reservedAddress] == "" {
			m.reserved[reservedAddress] = owner.duid
		} else {
			delete(m.reserved, reservedAddress)
		}
		m.reconfigure(m.configure)
	}
	m.note("short %v, reserved %v", m.short, m.reserved)
}

// asksFor are IAs of a player, each with what it names.
func (m *model) asksFor(p *player, name func(of iaOf) []netip.Prefix) (all []wish) {
	for _, code := range []int{3, 25} {
		for id := range uint32(1 + m.r.IntN(2)) {
			of := iaOf{p.link, p.duid, code, id}
			all = append(all, wish{of, name(of)})
		}
	}
	return all
}

// offered are the IAs of the last answer that a player got.
func (p *player) offered() (all []wish) {
	for _, x := range p.last.ias {
		w := wish{of: iaOf{p.link, p.duid, x.code, x.id}}
		for _, l := range x.leases {
			w.named = append(w.named, l.prefix)
		}
		all = append(all, w)
	}
	return all
}

// wishes are what an IA may name: nothing, an address, a length, or prefixes.
func (m *model) wishes(of iaOf) (all []netip.Prefix) {
	switch {
	case m.r.IntN(3) > 0:
		return nil
	case of.code == 3:
		return []netip.Prefix{cidr(fmt.Sprintf("2001:db8:1::10%d/128", m.r.IntN(8)))}
	case m.r.IntN(2) == 0:
		all = append(all, netip.PrefixFrom(netip.IPv6Unspecified(), 53+m.r.IntN(5)))
	}
	for range m.r.IntN(3) {
		all = append(all, netip.PrefixFrom(addr(fmt.Sprintf("2001:db8:4000:%x00::", m.r.IntN(16))), 54+m.r.IntN(3)).Masked())
	}
	return all
}

// own are the leases that an IA has, as far as its client knows.
func (m *model) own(of iaOf) []netip.Prefix {
	all := m.leasesOf(of)
	for _, p := range sorted(m.waits) {
		if _, has := m.has[p]; m.waits[p].of == of && m.waits[p].alone && !has {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return all
}

// say is a message of a player. Where nothing is under way it must be answered, unless the store is in the way.
func (m *model) say(p *player, of query) {
	if m.slow {
		m.move(m.now.Boot.After(time.Second))
	} else {
		m.pass(time.Second)
	}
	q := &question{query: of, p: p, at: m.now.Boot, strict: !m.slow}
	n := len(m.asked) + 1
	m.asked[n] = q
	var options []option
	for _, x := range q.ias {
		var inner []option
		for _, p := range x.named {
			inner = append(inner, named(strings.TrimSuffix(p.String(), "/128")))
		}
		options = append(options, ia(x.of.code, x.of.id, 0, 0, inner...))
	}
	if q.rapid {
		options = append(options, rapid)
	}
	payload := p.message(q.kind, options...)
	payload[1], payload[2], payload[3] = byte(n>>16), byte(n>>8), byte(n)
	m.note("%v: %v of %v, slow %v, store %v", n, q.kind, q.ias, m.slow, m.keepErr)
	if q.kind == dhcp6.Release || q.kind == dhcp6.Decline {
		for i := range q.ias {
			m.givesBack(m.now.Boot, &q.query, &q.ias[i], m.keepErr == nil && !m.slow && m.doomed == 0)
		}
	}
	p.open[n] = true
	sure := q.strict && m.isAnswered(q)
	before := len(m.sent)
	if p.link == "lan0" {
		m.says(p.client, payload)
	} else {
		m.relays(through("2001:db8:1::9", linkLayer(p.mac)).around(p.addr, payload))
	}
	if sure && len(m.sent) == before {
		m.fail("no answer to %d", n)
	}
	if !m.slow {
		clear(p.open)
	}
	m.sent, m.held, m.notes, m.drops, m.order = m.sent[:0], m.held[:0], m.notes[:0], m.drops[:0], m.order[:0]
}

// isAnswered reports whether a message must be answered. While the store takes nothing, that is so if no IA gets
// anything new.
func (m *model) isAnswered(q *question) bool {
	if m.keepErr == nil || q.kind == dhcp6.Solicit && !q.rapid || q.kind == dhcp6.Release || q.kind == dhcp6.Decline {
		return true
	}
	first := func(right []netip.Prefix, _ string) netip.Prefix { return right[0] }
	for i := range q.ias {
		x := &q.ias[i]
		o := m.decides(&q.query, x, nil, first)
		if slices.SortFunc(o.gets, netip.Prefix.Compare); !slices.Equal(o.gets, m.leasesOf(x.of)) {
			return false
		}
	}
	return true
}

// saw is a datagram that has left, or was held back.
func (m *model) saw(s *effect.Send, keep error, left bool) {
	a := m.read(innermost(s.Payload))
	q := m.asked[a.xid]
	m.note("%v: %v %q, left %v, kept %v", a.xid, a.kind, a.leases(), left, keep)
	if a.client != q.p.duid {
		m.fail("an answer to %q for %q", a.client, q.p.duid)
	}
	if !left {
		m.gaveUp(a, q)
		return
	}
	delete(q.p.open, a.xid)
	if q.kind == dhcp6.Release || q.kind == dhcp6.Decline {
		return
	}
	q.p.last = a
	m.judge(a, q)
	if a.kind == dhcp6.Reply {
		m.learns(a, q, keep == nil)
	}
}

// judge says whether an answer may be.
func (m *model) judge(a answer, q *question) {
	var answered []netip.Prefix
	for i := range q.ias {
		x := &q.ias[i]
		gets, loses, status := x.in(a)
		for _, p := range gets {
			for other, l := range m.has {
				if other.Overlaps(p) && l.of != x.of && l.until > m.now.Boot {
					m.fail("%v gets %v, and %v has %v", x.of, p, l.of, other)
				}
			}
			for other := range m.declined {
				if other.Overlaps(p) {
					m.fail("%v gets %v, which is declined", x.of, p)
				}
			}
		}
		if q.strict {
			m.compare(a.xid, q, x, answered, outcome{gets, loses, status})
		}
		answered = append(answered, gets...)
	}
	valid := uint32(4000)
	if m.short {
		valid = 400
	}
	for _, y := range a.ias {
		for _, l := range y.leases {
			if q.strict && l.valid != 0 && l.valid != valid {
				m.fail("%v has a lifetime of %d", l.prefix, l.valid)
			}
		}
	}
}

// compare holds what an IA gets against the twin. The server chooses where the twin leaves a choice.
func (m *model) compare(n int, q *question, x *wish, answered []netip.Prefix, got outcome) {
	left := slices.Clone(got.gets)
	var course []string
	want := m.decides(&q.query, x, answered, func(right []netip.Prefix, why string) netip.Prefix {
		course = append(course, fmt.Sprintf("one of %v, as %s", right, why))
		i := slices.IndexFunc(left, func(p netip.Prefix) bool { return slices.Contains(right, p) })
		if i < 0 {
			m.fail("%d: %v had %v, names %v, gets %v, loses %v, status %d: want %s", n, x.of, m.leasesOf(x.of), x.named, got.gets, got.loses, got.status, strings.Join(course, ", and "))
		}
		p := left[i]
		left = slices.Delete(left, i, i+1)
		return p
	})
	slices.SortFunc(got.loses, netip.Prefix.Compare)
	if len(left) > 0 || got.status != want.status || !slices.Equal(got.loses, want.loses) {
		m.fail("%d: %v had %v, names %v, gets %v, loses %v, status %d: want %+v: %s", n, x.of, m.leasesOf(x.of), x.named, got.gets, got.loses, got.status, want, strings.Join(course, ", and "))
	}
}

// in is what an answer says of an IA.
func (x *wish) in(a answer) (gets, loses []netip.Prefix, status int) {
	status = -1
	for _, y := range a.ias {
		if y.code != x.of.code || y.id != x.of.id {
			continue
		}
		status = y.status
		for _, l := range y.leases {
			if l.valid > 0 {
				gets = append(gets, l.prefix)
			} else {
				loses = append(loses, l.prefix)
			}
		}
	}
	return gets, loses, status
}

// learns takes in a Reply that has left.
func (m *model) learns(a answer, q *question, kept bool) {
	for i := range q.ias {
		x := &q.ias[i]
		gets, _, _ := x.in(a)
		for _, p := range m.leasesOf(x.of) {
			if !slices.Contains(gets, p) {
				m.ends(p, q.at.After(twinExpired), false)
			}
		}
	}
	for l, of := range a.gives(q) {
		before, has := m.has[l.prefix]
		now := promise{of, q.at.After(time.Duration(l.valid) * time.Second), before.sure, before.vague}
		if now.sure = min(now.sure, now.until); kept && (!has || now.until != before.until) {
			now.sure = now.until
		}
		m.has[l.prefix] = now
		m.given(l.prefix)
	}
}

// gives yields what an answer gives, and to which IA.
func (a answer) gives(q *question) func(yield func(readLease, iaOf) bool) {
	return func(yield func(readLease, iaOf) bool) {
		for _, y := range a.ias {
			for _, l := range y.leases {
				if l.valid > 0 && !yield(l, iaOf{q.p.link, q.p.duid, y.code, y.id}) {
					return
				}
			}
		}
	}
}

// gaveUp is an answer that was held back: its client does not know of it. What it extends may last longer.
func (m *model) gaveUp(a answer, q *question) {
	for l, of := range a.gives(q) {
		if had, has := m.has[l.prefix]; has && had.of == of {
			had.until, had.vague = max(had.until, q.at.After(time.Duration(l.valid)*time.Second)), true
			m.has[l.prefix] = had
		} else {
			m.given(l.prefix)
		}
	}
}

// pass is time that passes.
func (m *model) pass(d time.Duration) {
	if len(m.flight) == 0 {
		m.clarify()
	}
	m.passes(m.now.Boot, m.now.Boot.After(d))
	m.sleep(d)
}

// clarify has the twin take over for how long the server has a lease, where answers that were given up have
// extended it: that may be longer than its client knows, and never shorter.
func (m *model) clarify() {
	for b := range m.core.Leases {
		if l := m.has[b.Prefix]; l.vague && l.of == ofRecord(&b) {
			l.until, l.vague = max(l.until, b.Valid), false
			m.has[b.Prefix] = l
		}
	}
}

// quiet has the store work, and everything carried out that is under way.
func (m *model) quiet() {
	m.keepErr, m.slow, m.doomed = nil, false, 0
	for len(m.flight) > 0 {
		m.finish(len(m.flight))
	}
	m.hearNoMore()
	m.pass(3 * time.Second)
}

// hearNoMore has the clients wait for no answer.
func (m *model) hearNoMore() {
	for _, p := range m.players {
		clear(p.open)
	}
}

// agree holds what the core shows against the twin, where nothing is under way.
func (m *model) agree() {
	m.agrees()
	n := 0
	for b := range m.core.Leases {
		if n++; m.has[b.Prefix].of != ofRecord(&b) || m.has[b.Prefix].until != b.Valid {
			m.fail("the server has %v for %v until %v, want %+v", b.Prefix, ofRecord(&b), b.Valid, m.has[b.Prefix])
		}
	}
	if n != len(m.has) {
		m.fail("the server has %q, clients have %v", m.holds(), m.has)
	}
	units := m.units()
	if pools := m.core.Pools(); pools[0].Taken != units[3] || pools[1].Taken != units[25] {
		m.fail("taken are %d addresses and %d prefixes, want %v", pools[0].Taken, pools[1].Taken, units)
	}
}

func ofRecord(b *binding.Binding) iaOf {
	return iaOf{b.Link, b.Client.DUID(), map[binding.Kind]int{binding.Address: 3, binding.Prefix: 25}[b.Kind], b.IAID}
}

// death is how the process dies in the midst of what it does.
type death struct{}

// cut is called after each write and each datagram. What clients have been told that they have must be in the store
// then, and nothing beside that another client could be told to have. Where the process is doomed, it may die here.
func (m *model) cut() {
	kept := m.kept()
	for p, l := range m.has {
		if l.sure <= m.now.Boot {
			continue
		}
		if r, in := kept[p]; !in || ofRecord(&r.Binding) != l.of || r.Valid < l.sure {
			m.fail("if the power went now: %v was told that it has %v until %v, and the store has it for %v until %v", l.of, p, l.sure, ofRecord(&r.Binding), r.Valid)
		}
		for other := range kept {
			if other != p && other.Overlaps(p) {
				m.fail("if the power went now: %v was told that it has %v, and the store has %v as well", l.of, p, other)
			}
		}
	}
	if m.doomed == 1 {
		panic(death{})
	}
	m.doomed = max(0, m.doomed-1)
}

// kept are the records of leases in the store.
func (m *model) kept() map[netip.Prefix]binding.Record {
	all := make(map[netip.Prefix]binding.Record)
	from, to := binding.KeyRange(binding.Server6)
	for key, value := range m.store {
		if key >= string(from) && key < string(to) {
			if r, err := binding.ParseRecord([]byte(value)); err == nil {
				all[r.Prefix] = r
			}
		}
	}
	return all
}

// dies has the process begin anew if it has died.
func (m *model) dies() {
	if r := recover(); r == (death{}) {
		m.begin()
	} else if r != nil {
		panic(r)
	}
}

// begin is the process that begins anew. What was under way is lost, or is in the store although no client was told
// of it. What a client was told is in the server again: so the twin goes on to find whoever else is given that.
func (m *model) begin() {
	m.note("restart")
	m.slow, m.keepErr, m.doomed = false, nil, 0
	clear(m.waits) // who waits is not kept
	m.restart()
	now := make(map[netip.Prefix]promise)
	for b := range m.core.Leases {
		for p := range now {
			if p.Overlaps(b.Prefix) {
				m.fail("after a restart %v and %v are leases", p, b.Prefix)
			}
		}
		now[b.Prefix] = promise{of: ofRecord(&b), until: b.Valid, sure: b.Valid}
	}
	for p, l := range m.has {
		if got, has := now[p]; l.sure > m.now.Boot && (!has || got.of != l.of || got.until < l.sure) {
			m.fail("after a restart %v has %v no more: %+v", l.of, p, got)
		}
	}
	m.has = now
	from, _ := server6.RecordRange()
	for _, p := range sorted(m.declined) {
		d, a := m.declined[p], p.Addr().As16()
		if _, kept := m.store[string(from)+string(a[:])]; kept {
			m.declined[p] = decline{d.until, true}
		} else if d.sure {
			m.fail("after a restart %v is not declined", p)
		} else {
			delete(m.declined, p)
		}
	}
	m.hearNoMore()
}

package delegation_test

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// The world of the model is small, so that everything meets everything.
var (
	modelLinks   = []string{"lan0", "lan1", "red0"}
	modelClients = []binding.Client{binding.DUID("alice"), binding.DUID("bob"), binding.DUID("carol"), binding.DUID("dave")}
	modelHops    = []netip.Addr{netip.MustParseAddr("fe80::a"), netip.MustParseAddr("fe80::b"), netip.MustParseAddr("fe80::c")}
	modelHosts   = []linkaddr.Addr{{}, linkaddr.From([]byte{2, 0, 0, 0, 0, 1}), linkaddr.From([]byte{2, 0, 0, 0, 0, 2})}
	modelTimes   = []time.Duration{0, time.Second, 3 * time.Second, 10 * time.Second, time.Hour, binding.Infinite}
	modelPrefix  = prefixes(
		"2001:db8:0:100::/56", "2001:db8:0:100::/60", "2001:db8:0:110::/60", "2001:db8:0:200::/56", "2001:db8:0:200::/64", "2001:db8:0:300::/56",
		"2001:db8:0:400::/56", "2001:db8:0:500::/56", "2001:db8:0:600::/128", "2001:db8:0:300::1/128", "2001:db8:ff::/64", "fe80:1::/64", "::/0", "2001:db9::/56",
	)
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func vrfOf(link string) string {
	if link == "red0" {
		return "red"
	}
	return ""
}

// model is a table beside its twin.
type model struct {
	table  *delegation.Table
	twin   twin
	now    instant.Now
	policy delegation.Policy
	peer   []trust.Range
}

func pick[T any](t *rapid.T, label string, from []T) T { return rapid.SampledFrom(from).Draw(t, label) }

func newModel(t *rapid.T) *model {
	m := &model{table: delegation.New(), now: instant.Now{Boot: instant.Instant(time.Hour), Wall: time.Unix(1_700_000_000, 0), Synced: true}}
	m.policy = delegation.Policy{
		ClientLimit: rapid.IntRange(1, 4).Draw(t, "client limit"), LinkLimit: rapid.IntRange(1, 6).Draw(t, "link limit"),
		HostLimit: rapid.IntRange(0, 4).Draw(t, "host limit"), UniqueDUID: rapid.Bool().Draw(t, "unique"),
		OnLimit: pick(t, "on limit", []delegation.LimitPolicy{delegation.LimitRefuse, delegation.LimitReplaceUnreachable}),
		Move:    pick(t, "move", []delegation.MovePolicy{delegation.MoveFollow, delegation.MoveProbe, delegation.MoveDeny}),
	}
	if rapid.Bool().Draw(t, "bounded") {
		m.peer = []trust.Range{{Prefix: netip.MustParsePrefix("2001:db8::/32"), Min: 56, Max: 64}}
	}
	return m
}

func (m *model) terms(answered map[binding.Question]bool) delegation.Terms {
	reserved := netip.MustParsePrefix("2001:db8:ff::/48")
	return delegation.Terms{
		Policy: &m.policy, Peer: m.peer, Answered: answered,
		Reserved: func(g *delegation.Grant) bool { return g.VRF == "" && reserved.Overlaps(g.Prefix) },
	}
}

func (m *model) learn(t *rapid.T) {
	link := pick(t, "link", modelLinks)
	g := delegation.Grant{
		Link: link, VRF: vrfOf(link), Prefix: pick(t, "prefix", modelPrefix), Client: pick(t, "client", modelClients), IAID: rapid.Uint32Range(1, 2).Draw(t, "iaid"),
		NextHop: pick(t, "next hop", modelHops), LinkLayer: pick(t, "host", modelHosts), Server: "srv", Source: binding.FromReply,
		Preferred: pick(t, "preferred", modelTimes), Lifetime: pick(t, "valid", modelTimes), Contested: rapid.IntRange(0, 3).Draw(t, "contested") == 0,
		Line: rapid.Uint32Range(0, 2).Draw(t, "line"),
	}
	if g.Prefix.Bits() == 128 && rapid.Bool().Draw(t, "address") {
		g.Kind = binding.Address
	}
	if x := pick(t, "exclude", modelPrefix); x.Bits() > g.Prefix.Bits() && g.Prefix.Overlaps(x) {
		g.Exclude = x
	}
	answered := make(map[binding.Question]bool)
	terms := m.terms(answered)
	for n := 0; ; n++ {
		q := m.table.NeedsProbe(m.now, g, terms)
		if q == nil {
			break
		}
		if _, again := answered[*q]; again || n > 10 {
			t.Fatalf("asks %+v again", *q)
		}
		answered[*q] = rapid.Bool().Draw(t, "answers")
	}
	got := m.table.Learn(nil, m.now, g, terms)
	m.compare(t, got, m.twin.learn(m.now, g, terms))
	for _, e := range got {
		hop := binding.NextHop{Link: e.Old.Link, Addr: e.Old.NextHop, LinkLayer: e.Old.LinkLayer}
		if e.Reason == binding.StillAnswers && !answered[binding.Question{NextHop: hop}] && !answered[binding.Question{NextHop: hop, Prefix: e.Old.Prefix}] {
			t.Fatalf("refused because %+v answers, which it was not asked or did not", hop)
		}
	}
	m.limits(t, got)
}

// limits: what was granted never takes anyone above a limit.
func (m *model) limits(t *rapid.T, events []binding.Event) {
	for _, e := range events {
		if e.Kind != binding.Granted && (e.Kind != binding.Moved || e.Old.Link == e.New.Link && e.Old.Client == e.New.Client) {
			continue // it adds nothing
		}
		perClient, perLink := 0, 0
		for d := range m.table.OnLink(e.New.Link) {
			if d.Kind == e.New.Kind {
				perLink++
				if d.Client == e.New.Client && (m.policy.HostLimit == 0 || d.LinkLayer == e.New.LinkLayer) {
					perClient++
				}
			}
		}
		if perClient > m.policy.ClientLimit || perLink > m.policy.LinkLimit {
			t.Fatalf("%d of the client and %d on the link, above %d and %d", perClient, perLink, m.policy.ClientLimit, m.policy.LinkLimit)
		}
	}
}

// named is one IA of a message about what somebody holds, or might.
func (m *model) named(t *rapid.T) delegation.Named {
	r := delegation.Named{
		Link: pick(t, "link", modelLinks), Client: pick(t, "client", modelClients), IAID: rapid.Uint32Range(1, 2).Draw(t, "iaid"),
		Source: pick(t, "source", modelHops), LinkLayer: pick(t, "host", modelHosts), Kind: pick(t, "kind", []binding.Kind{binding.Prefix, binding.Address}),
		Prefixes: rapid.SliceOfN(rapid.SampledFrom(modelPrefix), 0, 3).Draw(t, "prefixes"), Contested: rapid.IntRange(0, 3).Draw(t, "contested") == 0,
	}
	r.VRF = vrfOf(r.Link)
	if n := len(m.twin.live); n > 0 && rapid.Bool().Draw(t, "of one that is there") {
		d := m.twin.live[rapid.IntRange(0, n-1).Draw(t, "which")]
		r.Link, r.VRF, r.Client, r.IAID, r.Kind = d.Link, d.VRF, d.Client, d.IAID, d.Kind
		r.Prefixes = append(r.Prefixes, d.Prefix)
		if rapid.Bool().Draw(t, "its holder's") {
			r.Source, r.LinkLayer = d.NextHop, d.LinkLayer
		}
	}
	return r
}

// renew is a Renew, and sometimes an answer that does not give what it names.
func (m *model) renew(t *rapid.T) {
	r, xid := m.named(t), rapid.Uint32Range(1, 2).Draw(t, "transaction")
	for _, p := range r.Prefixes {
		m.table.Renewing(m.now, r, p, xid)
	}
	m.twin.renewing(m.now, r, xid)
	if rapid.Bool().Draw(t, "answered") {
		server := pick(t, "server", []string{"srv", "srv", "another"})
		xid = rapid.Uint32Range(1, 2).Draw(t, "answers")
		r.Prefixes = rapid.SliceOfN(rapid.SampledFrom(modelPrefix), 0, 2).Draw(t, "given")
		m.table.GivesUp(r, server, xid)
		m.twin.givesUp(r, server, xid)
	}
}

func (m *model) release(t *rapid.T) {
	r := m.named(t)
	got, mismatched := m.table.Release(nil, r)
	want, wantMismatched := m.twin.release(r)
	m.compare(t, got, want)
	if mismatched != wantMismatched {
		t.Fatalf("%d delegations named that are not the sender's, want %d", mismatched, wantMismatched)
	}
}

// rename: an interface has another name, which may be that of one that is gone.
func (m *model) rename(t *rapid.T) {
	link, to := pick(t, "link", modelLinks), pick(t, "name", modelLinks)
	m.table.Rename(link, to)
	m.twin.rename(link, to)
}

// follow: an address of some host has answered.
func (m *model) follow(t *rapid.T) {
	link, p, client := pick(t, "link", modelLinks), pick(t, "prefix", modelPrefix), pick(t, "client", modelClients)
	to := binding.NextHop{Link: link, Addr: pick(t, "next hop", modelHops), LinkLayer: pick(t, "host", modelHosts)}
	if n := len(m.twin.live); n > 0 && rapid.Bool().Draw(t, "one that is there") {
		d := m.twin.live[rapid.IntRange(0, n-1).Draw(t, "which")]
		link, p, client, to.Link, to.LinkLayer = d.Link, d.Prefix, d.Client, d.Link, d.LinkLayer
	}
	m.compare(t, m.table.Follow(nil, vrfOf(link), p, client, to), m.twin.follow(vrfOf(link), p, client, to))
}

func (m *model) wait(t *rapid.T) {
	d := time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond
	if rapid.IntRange(0, 3).Draw(t, "long") == 0 {
		d *= 12
	}
	m.now.Boot, m.now.Wall = m.now.Boot.After(d), m.now.Wall.Add(d)
	got := m.table.Expire(nil, m.now)
	if !slices.IsSortedFunc(got, func(a, b binding.Event) int { return cmp.Compare(a.Old.Valid, b.Old.Valid) }) {
		t.Fatalf("expired out of order: %+v", got)
	}
	if at := m.table.Deadline(); at <= m.now.Boot {
		t.Fatalf("what was due at %v has not been looked at by %v", at, m.now.Boot)
	}
	m.twin.forgive(func(x given) bool { return x.until <= m.now.Boot })
	m.compare(t, got, m.twin.end(binding.Expired, func(d binding.Binding) bool { return d.Valid <= m.now.Boot }))
}

func (m *model) clear(t *rapid.T) {
	s := delegation.Selection{All: rapid.IntRange(0, 9).Draw(t, "all") == 0}
	if rapid.Bool().Draw(t, "by prefix") {
		s.Prefix = pick(t, "prefix", modelPrefix)
	}
	if rapid.Bool().Draw(t, "by client") {
		s.Client = pick(t, "client", modelClients)
	}
	if rapid.Bool().Draw(t, "by link") {
		s.Link = pick(t, "link", modelLinks)
	}
	m.compare(t, m.table.Clear(nil, s), m.twin.clear(s))
}

func (m *model) block(t *rapid.T) {
	b := delegation.Block{Client: pick(t, "client", append([]binding.Client{{}}, modelClients...)), Link: pick(t, "link", append([]string{""}, modelLinks...))}
	if b.Client.IsZero() && b.Link == "" || rapid.Bool().Draw(t, "by prefix") {
		b.Prefix = pick(t, "prefix", modelPrefix)
	}
	at := slices.Index(m.twin.blocks, b)
	if at < 0 && len(m.twin.blocks) < 2 {
		m.twin.blocks = append(m.twin.blocks, b)
		if !m.table.Block(b) {
			t.Fatal("blocking changed nothing")
		}
		return
	}
	if len(m.twin.blocks) > 0 {
		b = m.twin.blocks[0]
		m.twin.blocks = m.twin.blocks[1:]
		if !m.table.Unblock(b) {
			t.Fatal("unblocking changed nothing")
		}
	}
}

// undo takes a grant back, or puts an older state in its place.
func (m *model) undo(t *rapid.T) {
	if len(m.twin.live) == 0 {
		return
	}
	d := m.twin.live[rapid.IntRange(0, len(m.twin.live)-1).Draw(t, "which")]
	m.twin.drop(d.VRF, d.Prefix)
	if rapid.Bool().Draw(t, "remove") {
		m.table.Remove(d.VRF, d.Prefix)
		return
	}
	left := time.Duration(rapid.IntRange(1, 9).Draw(t, "s")) * time.Second
	d.Valid, d.Lifetime = m.now.Boot.After(left), max(d.Lifetime, left) // no more is left than was granted
	d.NextHop = pick(t, "next hop", modelHops)
	m.twin.live = append(m.twin.live, d)
	m.table.Put(d)
}

// reboot writes every delegation out, reads it in again under another boot, and
// goes on with what came back.
func (m *model) reboot(t *rapid.T) {
	var records [][]byte
	for d := range m.table.All() {
		records = append(records, binding.AppendRecord(nil, binding.Relay6, &d, m.now, "boot"))
	}
	down := time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
	before := m.now
	m.now = instant.Now{Boot: instant.Instant(time.Minute), Wall: m.now.Wall.Add(down), Synced: true}
	again := delegation.New()
	for _, b := range m.twin.blocks {
		again.Block(b)
	}
	for _, b := range records {
		rec, err := binding.ParseRecord(b)
		if err != nil {
			t.Fatalf("record %x: %v", b, err)
		}
		again.Restore(m.now, rec, "another boot", before.Wall)
	}
	m.table, m.twin.given = again, nil
	for i := range m.twin.live {
		d := &m.twin.live[i]
		d.Source, d.Line, d.Standing = binding.FromStore, 0, binding.Standing{}
		if d.Valid != instant.Never {
			early := d.Valid - d.Preferred
			d.Valid = m.now.Boot.After(time.Duration(d.Valid-before.Boot) - down)
			d.Preferred = d.Valid - early
		}
	}
}

// compare holds the events of both sides against each other. The order of what
// ends together is no promise.
func (m *model) compare(t *rapid.T, got, want []binding.Event) {
	t.Helper()
	byPlace := func(a, b binding.Event) int {
		x, y := a.Subject(), b.Subject()
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(x.VRF, y.VRF), x.Prefix.Compare(y.Prefix))
	}
	slices.SortFunc(got, byPlace)
	slices.SortFunc(want, byPlace)
	if diff := gocmp.Diff(want, got, comparable...); diff != "" {
		t.Fatalf("events (-twin +table)\n%s", diff)
	}
}

var comparable = []gocmp.Option{
	gocmp.Comparer(func(a, b binding.Client) bool { return a == b }), gocmp.Comparer(func(a, b netip.Addr) bool { return a == b }), gocmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	gocmp.Comparer(func(a, b linkaddr.Addr) bool { return a == b }), gocmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
}

// check holds the table against its twin, and against itself.
func (m *model) check(t *rapid.T) {
	byPlace := func(a, b binding.Binding) int {
		return cmp.Or(strings.Compare(a.VRF, b.VRF), a.Prefix.Compare(b.Prefix))
	}
	got, want := slices.SortedFunc(m.table.All(), byPlace), slices.SortedFunc(slices.Values(m.twin.live), byPlace)
	if len(want) != len(got) {
		t.Fatalf("%d live delegations, want %d:\n got  %+v\n want %+v", len(got), len(want), got, want)
	}
	m.checkGiven(t)
	next, kinds := instant.Never, [2]int{}
	for _, x := range m.twin.given {
		next = min(next, x.until)
	}
	for i, d := range got {
		if diff := gocmp.Diff(want[i], d, comparable...); diff != "" {
			t.Fatalf("live delegations (-twin +table)\n%s", diff)
		}
		if at, ok := m.table.Lookup(d.VRF, d.Prefix); !ok || at.Client != d.Client || at.Link != d.Link {
			t.Fatalf("%v is not found where it is: %+v", d.Prefix, at)
		}
		if !slices.ContainsFunc(slices.Collect(m.table.SlotsOf(d.Link, d.Client)), func(s *binding.Slot) bool { return s.Prefix() == d.Prefix }) {
			t.Fatalf("%v is not among its client's", d.Prefix)
		}
		if !m.table.Holds(d.Link, d.Client, d.IAID, d.Kind) {
			t.Fatalf("the client does not hold %v", d.Prefix)
		}
		if !m.table.HoldsOf(d.Link, []byte(d.Client.DUID()), d.Server) || m.table.HoldsOf(d.Link, []byte(d.Client.DUID()), "no server") {
			t.Fatalf("the client holds nothing of %q, or of another server", d.Server)
		}
		for _, o := range got[:i] {
			if o.VRF == d.VRF && o.Prefix.Overlaps(d.Prefix) && !excludes(o.Exclude, d.Prefix) && !excludes(d.Exclude, o.Prefix) && (o.Client != d.Client || o.Link != d.Link) {
				t.Fatalf("%v of %s and %v of %s overlap", o.Prefix, o.Client, d.Prefix, d.Client)
			}
		}
		next = min(next, d.Valid)
		kinds[d.Kind]++
	}
	// It may be early, for one that was extended, but never late.
	if at := m.table.Deadline(); at > next {
		t.Fatalf("the next end is at %v; want %v or before", at, next)
	}
	for k, n := range kinds {
		if m.table.Len(binding.Kind(k)) != n {
			t.Fatalf("%d of kind %v, want %d", m.table.Len(binding.Kind(k)), binding.Kind(k), n)
		}
	}
	for _, l := range modelLinks {
		for k := range kinds {
			n := m.twin.count(func(d binding.Binding) bool { return d.Link == l && d.Kind == binding.Kind(k) })
			if m.table.LinkLen(l, binding.Kind(k)) != n {
				t.Fatalf("%d of kind %d on %s, want %d", m.table.LinkLen(l, binding.Kind(k)), k, l, n)
			}
		}
		if got, want := m.table.Use(l, &m.policy), m.twin.use(l, &m.policy); got != want {
			t.Fatalf("use of the limits on %s: %+v, want %+v", l, got, want)
		}
	}
}

// checkGiven holds what was given and not installed against the twin.
func (m *model) checkGiven(t *rapid.T) {
	for _, link := range modelLinks {
		for k := binding.Prefix; k <= binding.Address; k++ {
			for _, host := range modelHosts {
				if got, want := m.table.Exhausted(link, host, k, &m.policy), m.twin.exhausted(link, host, k, &m.policy); got != want {
					t.Fatalf("%v behind %v on %s is exhausted: %q, want %q (given %+v)", k, host, link, got, want, m.twin.given)
				}
			}
			for _, client := range modelClients {
				for iaid := uint32(1); iaid <= 2; iaid++ {
					want := 0
					for _, x := range m.twin.given {
						if x.Link == link && x.Client == client && x.IAID == iaid && x.Kind == k {
							want++
						}
					}
					if got := m.table.Charged(link, client, iaid, k); got != want {
						t.Fatalf("%d given to %s in IA %d on %s, want %d", got, client, iaid, link, want)
					}
				}
			}
		}
	}
}

// charge is a grant in the answer to a Release: it is counted and not installed.
func (m *model) charge(t *rapid.T) {
	link := pick(t, "link", modelLinks)
	g := delegation.Grant{
		Link: link, VRF: vrfOf(link), Prefix: pick(t, "prefix", modelPrefix), Client: pick(t, "client", modelClients), IAID: rapid.Uint32Range(1, 2).Draw(t, "iaid"),
		LinkLayer: pick(t, "host", modelHosts), Lifetime: pick(t, "valid", modelTimes), Contested: rapid.Bool().Draw(t, "contested"),
	}
	m.table.Charge(m.now, g, &m.policy)
	m.twin.charge(m.now, g, &m.policy)
}

// TestModel does to the table and to its twin whatever comes to mind.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"learn":   m.learn,
			"learn 2": m.learn, // more often than the others
			"learn 3": m.learn,
			"release": m.release,
			"rename":  m.rename,
			"follow":  m.follow,
			"charge":  m.charge,
			"renew":   m.renew,
			"wait":    m.wait,
			"clear":   m.clear,
			"block":   m.block,
			"undo":    m.undo,
			"reboot":  m.reboot,
			"":        m.check,
		})
	})
}

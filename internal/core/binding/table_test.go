package binding_test

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// The world of the table is small, so that everything meets everything.
var (
	tableLinks    = []string{"lan0", "lan1", "lan2"}
	tableVRFs     = []string{"", "red"}
	tableClients  = []binding.Client{alice, binding.DUID("bob"), binding.AtAddress(hops[0], mac), binding.Hardware(1, mac.Append(nil))}
	tableHosts    = []linkaddr.Addr{{}, mac, linkaddr.From([]byte{2, 0, 0x5e, 0x10, 0, 2})}
	tablePrefixes = []netip.Prefix{
		netip.MustParsePrefix("2001:db8:100::/40"), netip.MustParsePrefix("2001:db8:100::/56"), netip.MustParsePrefix("2001:db8:100:80::/57"),
		netip.MustParsePrefix("2001:db8:100:ff::/64"), netip.MustParsePrefix("2001:db8:100::1/128"), netip.MustParsePrefix("2001:db8:101::/56"),
		netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("192.0.2.8/32"),
	}
	tableTimes = []time.Duration{0, time.Second, 3 * time.Second, 10 * time.Second, time.Hour, binding.Infinite}
)

// place is what a binding is found by.
type place struct {
	vrf    string
	prefix netip.Prefix
}

// tableModel is a table beside a map, which answers everything by looking at all that it has.
type tableModel struct {
	*binding.Table
	all map[place]binding.Binding
	now instant.Now
}

func (m *tableModel) draw(t *rapid.T) (place, binding.Binding) {
	at := place{rapid.SampledFrom(tableVRFs).Draw(t, "vrf"), rapid.SampledFrom(tablePrefixes).Draw(t, "prefix")}
	b := binding.Binding{
		Link: rapid.SampledFrom(tableLinks).Draw(t, "link"), VRF: at.vrf, Prefix: at.prefix, Client: rapid.SampledFrom(tableClients).Draw(t, "client"),
		NextHop: rapid.SampledFrom(append(hops, netip.Addr{})).Draw(t, "hop"), LinkLayer: rapid.SampledFrom(tableHosts).Draw(t, "host"),
	}
	if at.prefix.IsSingleIP() && rapid.Bool().Draw(t, "address") {
		b.Kind = binding.Address
	}
	m.renew(t, &b)
	return at, b
}

// renew draws what another word about a binding may change where it stays.
func (m *tableModel) renew(t *rapid.T, b *binding.Binding) {
	b.IAID, b.NoIAID, b.Reconfigures = rapid.Uint32().Draw(t, "iaid"), rapid.Bool().Draw(t, "no iaid"), rapid.Bool().Draw(t, "reconfigures")
	b.Lifetime = rapid.SampledFrom(tableTimes).Draw(t, "lifetime")
	b.Preferred, b.Valid = binding.Lifetimes(m.now, b.Lifetime/2, b.Lifetime)
	b.Server, b.Source, b.Line = rapid.SampledFrom([]string{"kea", "other", ""}).Draw(t, "server"), binding.FromReply, rapid.Uint32().Draw(t, "line")
	b.Granted, b.Changed = m.now.Wall, m.now.Wall.Add(time.Second)
	b.Standing = binding.Standing{Renewed: m.now.Boot, XID: rapid.Uint32().Draw(t, "xid"), GivenUp: rapid.Bool().Draw(t, "given up")}
	b.Exclude = netip.Prefix{}
	if b.Prefix.Bits() == 56 && rapid.Bool().Draw(t, "without a part") {
		b.Exclude = netip.PrefixFrom(b.Prefix.Addr(), 64)
	}
}

// some draws a binding that is there; it skips where there is none.
func (m *tableModel) some(t *rapid.T) (place, binding.Binding) {
	if len(m.all) == 0 {
		t.Skip("nothing is there")
	}
	at := rapid.SampledFrom(slices.SortedFunc(maps.Keys(m.all), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.vrf, b.vrf), a.prefix.Compare(b.prefix))
	})).Draw(t, "place")
	return at, m.all[at]
}

func (m *tableModel) put(t *rapid.T) {
	at, b := m.draw(t)
	before := m.Unchecked()
	m.Put(b)
	m.all[at] = b
	if m.Unchecked() == before {
		t.Fatal("what was put in is taken for looked at")
	}
}

func (m *tableModel) add(t *rapid.T) {
	at, b := m.draw(t)
	for _, other := range m.all {
		if other.VRF == b.VRF && other.Prefix.Overlaps(b.Prefix) {
			t.Skip("there is one, or another in its way")
		}
	}
	before := m.Unchecked()
	m.Add(&b)
	m.all[at] = b
	if s := m.At(at.vrf, at.prefix); m.Unchecked() != before || s.Apart != before {
		t.Fatalf("Unchecked was %d and is %d; Apart is %d", before, m.Unchecked(), s.Apart)
	}
}

func (m *tableModel) extend(t *rapid.T) {
	at, b := m.some(t)
	m.renew(t, &b)
	m.Extend(m.At(at.vrf, at.prefix), &b)
	m.all[at] = b
}

func (m *tableModel) remove(t *rapid.T) {
	at, _ := m.draw(t) // it need not be there
	m.Remove(at.vrf, at.prefix)
	delete(m.all, at)
}

func (m *tableModel) end(t *rapid.T) {
	at, b := m.some(t)
	got := m.End(m.At(at.vrf, at.prefix), binding.Released)
	delete(m.all, at)
	if diff := gocmp.Diff(binding.Event{Kind: binding.Ended, Reason: binding.Released, Old: b}, got, comparable); diff != "" {
		t.Fatalf("the end (-want +got)\n%s", diff)
	}
}

func (m *tableModel) rename(t *rapid.T) {
	link, to := rapid.SampledFrom(tableLinks).Draw(t, "link"), rapid.SampledFrom(tableLinks).Draw(t, "to")
	m.Rename(link, to)
	for at, b := range m.all {
		if b.Link == link {
			b.Link = to
			m.all[at] = b
		}
	}
}

func (m *tableModel) rehome(t *rapid.T) {
	at, _ := m.draw(t) // it need not be there
	to := place{rapid.SampledFrom(tableVRFs).Draw(t, "to"), at.prefix}
	b, there := m.all[at]
	_, full := m.all[to]
	if got := m.Rehome(at.vrf, at.prefix, to.vrf); got != (there && !full) {
		t.Fatalf("from %v to %v: %v; there: %v, in the way: %v", at, to, got, there, full)
	}
	if there && !full {
		delete(m.all, at)
		b.VRF = to.vrf
		m.all[to] = b
	}
}

func (m *tableModel) expire(t *rapid.T) {
	m.now.Boot += instant.Instant(rapid.SampledFrom(tableTimes[:5]).Draw(t, "later"))
	var want []binding.Event
	for at, b := range m.all {
		if b.Valid <= m.now.Boot {
			want = append(want, binding.Event{Kind: binding.Ended, Reason: binding.Expired, Old: b})
			delete(m.all, at)
		}
	}
	got := m.Expire(nil, m.now)
	inOrder := func(a, b binding.Event) int {
		return cmp.Or(cmp.Compare(a.Old.VRF, b.Old.VRF), a.Old.Prefix.Compare(b.Old.Prefix))
	}
	slices.SortFunc(want, inOrder)
	slices.SortFunc(got, inOrder)
	if diff := gocmp.Diff(want, got, comparable); diff != "" {
		t.Fatalf("what has ended (-want +got)\n%s", diff)
	}
	if next := m.Deadline(); next <= m.now.Boot {
		t.Fatalf("the next end is at %d, and it is %d", next, m.now.Boot)
	}
}

// those are the bindings of the map for which is holds.
func (m *tableModel) those(is func(binding.Binding) bool) (found []binding.Binding) {
	for _, b := range m.all {
		if is(b) {
			found = append(found, b)
		}
	}
	return found
}

// same fails if got is not what of the map is chosen, in whatever order.
func (m *tableModel) same(t *rapid.T, what string, got iter.Seq[binding.Binding], is func(binding.Binding) bool) {
	inOrder := func(a, b binding.Binding) int { return cmp.Or(cmp.Compare(a.VRF, b.VRF), a.Prefix.Compare(b.Prefix)) }
	want := m.those(is)
	slices.SortFunc(want, inOrder)
	if diff := gocmp.Diff(want, slices.SortedFunc(got, inOrder), comparable); diff != "" {
		t.Fatalf("%s (-want +got)\n%s", what, diff)
	}
}

func (m *tableModel) read(slots iter.Seq[*binding.Slot]) iter.Seq[binding.Binding] {
	return func(yield func(binding.Binding) bool) {
		for s := range slots {
			if !yield(m.Read(s)) {
				return
			}
		}
	}
}

func (m *tableModel) check(t *rapid.T) {
	m.same(t, "all", m.All(), func(binding.Binding) bool { return true })
	if names := linksOf(m.All()); !slices.IsSorted(names) {
		t.Fatalf("all are not link by link: %v", names)
	}
	for k := range binding.Kinds {
		if got, want := m.Len(k), len(m.those(func(b binding.Binding) bool { return b.Kind == k })); got != want {
			t.Fatalf("%d of kind %v, want %d", got, k, want)
		}
	}
	m.checkLinks(t)
	m.checkClients(t)
	m.checkPlaces(t)
	next := m.Deadline()
	for _, b := range m.all {
		if b.Valid < next {
			t.Fatalf("%s ends at %d, and the next end is at %d", b.Prefix, b.Valid, next)
		}
	}
}

func linksOf(all iter.Seq[binding.Binding]) (names []string) {
	for b := range all {
		names = append(names, b.Link)
	}
	return names
}

func (m *tableModel) checkLinks(t *rapid.T) {
	var holding []string
	for _, link := range tableLinks {
		on := func(b binding.Binding) bool { return b.Link == link }
		if len(m.those(on)) > 0 {
			holding = append(holding, link)
		}
		m.same(t, "on "+link, m.OnLink(link), on)
		clients, hosts := map[binding.Client]int{}, map[linkaddr.Addr]int{}
		for _, b := range m.those(on) {
			if b.Kind == binding.Prefix {
				clients[b.Client]++
				hosts[b.LinkLayer]++
			}
		}
		delete(hosts, linkaddr.Addr{})
		ofClients, ofHosts := m.Tallies(link)
		wantTally(t, link+": clients", ofClients, slices.Collect(maps.Values(clients)))
		wantTally(t, link+": hosts", ofHosts, slices.Collect(maps.Values(hosts)))
		for k := range binding.Kinds {
			if got, want := m.LinkLen(link, k), len(m.those(func(b binding.Binding) bool { return on(b) && b.Kind == k })); got != want {
				t.Fatalf("%s has %d of kind %v, want %d", link, got, k, want)
			}
			for _, host := range tableHosts[1:] {
				if got, want := m.HostLen(link, host, k), len(m.those(func(b binding.Binding) bool { return on(b) && b.Kind == k && b.LinkLayer == host })); got != want {
					t.Fatalf("%s behind %v: %d of kind %v, want %d", link, host, got, k, want)
				}
			}
		}
	}
	if got := slices.Collect(m.Links()); !slices.Equal(got, holding) {
		t.Fatalf("links with bindings: %v, want %v", got, holding)
	}
}

// wantTally: a tally says of numbers how many there are, and which is the greatest.
func wantTally(t *rapid.T, what string, got binding.Tally, numbers []int) {
	most := 0
	for _, n := range numbers {
		most = max(most, n)
	}
	if got.Most() != most {
		t.Fatalf("%s: one has %d at the most, want %d", what, got.Most(), most)
	}
	for limit := range most + 2 {
		want := 0
		for _, n := range numbers {
			if n >= max(1, limit) {
				want++
			}
		}
		if got.AtLeast(limit) != want {
			t.Fatalf("%s: %d have %d or more, want %d", what, got.AtLeast(limit), limit, want)
		}
	}
}

func (m *tableModel) checkClients(t *rapid.T) {
	for _, c := range tableClients {
		on := 0
		for _, link := range tableLinks {
			is := func(b binding.Binding) bool { return b.Link == link && b.Client == c }
			m.same(t, "of a client on "+link, m.read(m.SlotsOf(link, c)), is)
			if len(m.those(is)) > 0 {
				on++
			}
			holder := m.Holder(link, c)
			for at, b := range m.all {
				if got := holder.Has(m.At(at.vrf, at.prefix)); got != is(b) {
					t.Fatalf("%s is that client's on %s: %v", b.Prefix, link, got)
				}
			}
		}
		m.same(t, "of a client anywhere", m.read(m.SlotsAnywhere(c)), func(b binding.Binding) bool { return b.Client == c })
		if got := m.LinksOf(c); got != on {
			t.Fatalf("a client is on %d links, want %d", got, on)
		}
	}
}

func (m *tableModel) checkPlaces(t *rapid.T) {
	for _, vrf := range tableVRFs {
		for _, p := range tablePrefixes {
			got, is := m.Lookup(vrf, p)
			want, there := m.all[place{vrf, p}]
			if diff := gocmp.Diff(want, got, comparable); is != there || diff != "" {
				t.Fatalf("%s in VRF %q: %v, want %v (-want +got)\n%s", p, vrf, is, there, diff)
			}
			m.same(t, "covering "+p.String(), m.read(m.Covering(vrf, p)), func(b binding.Binding) bool {
				return b.VRF == vrf && b.Prefix.Bits() < p.Bits() && b.Prefix.Contains(p.Addr())
			})
			m.same(t, "within "+p.String(), m.read(m.Within(vrf, p)), func(b binding.Binding) bool {
				return b.VRF == vrf && b.Prefix.Bits() > p.Bits() && p.Contains(b.Prefix.Addr())
			})
		}
	}
}

// TestTableIsLikeAMap: whatever is put in, changed and taken out, the table answers as a map
// does that is looked through as a whole.
func TestTableIsLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &tableModel{
			Table: binding.NewTable(), all: map[place]binding.Binding{},
			now: instant.Now{Boot: instant.Instant(time.Hour), Wall: time.Unix(1_700_000_000, 0), Synced: true},
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": m.put, "add": m.add, "extend": m.extend, "remove": m.remove, "end": m.end, "rename": m.rename, "rehome": m.rehome, "expire": m.expire,
			"": m.check,
		})
	})
}

// tableOf is a table with a binding for each of these numbers, which change may change.
func tableOf(numbers int, change func(n int, b *binding.Binding)) *binding.Table {
	table := binding.NewTable()
	for n := range numbers {
		b := binding.Binding{
			Link: "lan0", Client: alice, NextHop: hops[0], LinkLayer: mac, Valid: instant.Instant(time.Minute), Lifetime: time.Minute,
			Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(n >> 8), byte(n)}), 56),
		}
		change(n, &b)
		table.Put(b)
	}
	return table
}

func prefixesOf(t *binding.Table, slots iter.Seq[*binding.Slot]) (all []netip.Prefix) {
	for s := range slots {
		all = append(all, s.Prefix())
	}
	return all
}

// Who looks at bindings may take each out.
func TestRemovedWhileLookedAt(t *testing.T) {
	for name, look := range map[string]func(*binding.Table) iter.Seq[*binding.Slot]{
		"of a link":             func(t *binding.Table) iter.Seq[*binding.Slot] { return t.Slots("lan0") },
		"of a client on a link": func(t *binding.Table) iter.Seq[*binding.Slot] { return t.SlotsOf("lan0", alice) },
	} {
		table := tableOf(9, func(n int, b *binding.Binding) {
			if n%3 == 2 {
				b.Link, b.Client = "lan1", binding.DUID("bob")
			}
		})
		seen := 0
		for s := range look(table) {
			table.Take(s)
			seen++
		}
		if seen != 6 || table.Len(binding.Prefix) != 3 || table.LinkLen("lan0", binding.Prefix) != 0 {
			t.Errorf("%s: %d seen, %d left of 9", name, seen, table.Len(binding.Prefix))
		}
	}
}

// Where very many end at once they do so in parts, and the deadline says that more are due.
func TestExpireInParts(t *testing.T) {
	table := tableOf(600, func(int, *binding.Binding) {})
	now := instant.Now{Boot: instant.Instant(time.Minute)}
	first := len(table.Expire(nil, now))
	if at := table.Deadline(); first == 0 || first == 600 || at > now.Boot {
		t.Errorf("%d have ended, and the next end is at %d", first, at)
	}
	if second := len(table.Expire(nil, now)); first+second != 600 {
		t.Errorf("%d and %d have ended, want 600", first, second)
	}
	if at := table.Deadline(); at != instant.Never {
		t.Errorf("an end at %d, and nothing is left", at)
	}
}

// One that is extended ends when it ends now, and not before; one that is shortened moves the
// deadline at once.
func TestExtend(t *testing.T) {
	for name, tc := range map[string]struct {
		valid   instant.Instant
		at, end instant.Instant // the deadline then, and once Expire has looked at it
	}{
		"longer":       {instant.Instant(time.Hour), instant.Instant(time.Minute), instant.Instant(time.Hour)},
		"for ever":     {instant.Never, instant.Instant(time.Minute), instant.Never},
		"shorter":      {instant.Instant(time.Second), instant.Instant(time.Second), 0},
		"as it is now": {instant.Instant(time.Minute), instant.Instant(time.Minute), 0},
	} {
		table := tableOf(1, func(int, *binding.Binding) {})
		s := table.At("", netip.MustParsePrefix("2001:db8::/56"))
		b := table.Read(s)
		b.Valid, b.Server = tc.valid, "other"
		table.Extend(s, &b)
		if at := table.Deadline(); at != tc.at {
			t.Errorf("%s: the deadline is %d, want %d", name, at, tc.at)
		}
		ended := table.Expire(nil, instant.Now{Boot: instant.Instant(time.Minute)})
		if (len(ended) == 1) != (tc.end == 0) {
			t.Errorf("%s: ended %+v", name, ended)
		}
		if at := table.Deadline(); tc.end != 0 && at != tc.end {
			t.Errorf("%s: afterwards the deadline is %d, want %d", name, at, tc.end)
		}
	}
}

// A client and an IAID that were not known are filled in by the next word about the binding.
// It is then found under its client alone, and counted once.
func TestFilledIn(t *testing.T) {
	unknown := binding.AtAddress(hops[0], mac)
	for name, tc := range map[string]struct {
		first, second binding.Client
		noIAID        bool // still, afterwards
	}{
		"client and IAID": {unknown, alice, false},
		"the client":      {unknown, alice, true},
		"the IAID":        {alice, alice, false},
	} {
		table := tableOf(2, func(n int, b *binding.Binding) {
			b.Client, b.NoIAID = tc.first, true
			if n == 1 { // another's, which stays
				b.Client, b.LinkLayer = binding.AtAddress(hops[0], linkaddr.Addr{}), linkaddr.Addr{}
			}
		})
		p := netip.MustParsePrefix("2001:db8::/56")
		b, _ := table.Lookup("", p)
		b.Client, b.NoIAID = tc.second, tc.noIAID
		if !tc.noIAID {
			b.IAID = 7
		}
		if s := table.At("", p); tc.first == tc.second {
			table.Extend(s, &b)
		} else {
			table.Take(s)
			table.Add(&b)
		}
		s := table.At("", p)
		if iaid, known := s.IAID(); known == tc.noIAID || known && iaid != 7 || table.Client(s) != tc.second {
			t.Errorf("%s: IAID %d (known: %v) of %q", name, iaid, known, table.Client(s).Identifier())
		}
		if got := prefixesOf(table, table.SlotsAnywhere(tc.second)); !slices.Equal(got, []netip.Prefix{p}) || table.LinksOf(tc.second) != 1 {
			t.Errorf("%s: the client has %v on %d links", name, got, table.LinksOf(tc.second))
		}
		if tc.first != tc.second && (table.LinksOf(tc.first) != 0 || table.First(table.Holder("lan0", tc.first)) != nil) {
			t.Errorf("%s: the client of before has something", name)
		}
		if table.Len(binding.Prefix) != 2 || table.HostLen("lan0", mac, binding.Prefix) != 1 {
			t.Errorf("%s: %d bindings, %d behind the host; want 2 and 1", name, table.Len(binding.Prefix), table.HostLen("lan0", mac, binding.Prefix))
		}
	}
}

// What was kept in this boot holds as it is; after a reboot the wall clock says how much is
// left, as far as it can be trusted (RFC 8987 S-1).
func TestRestoredLifetimes(t *testing.T) {
	const boot = instant.Instant(time.Minute)
	wall := time.Unix(1_700_000_000, 0)
	minutes := func(n int) instant.Instant { return boot.After(time.Duration(n) * time.Minute) }
	for name, tc := range map[string]struct {
		bootID   string
		end      time.Time // by the wall clock, as it was kept
		lastWall time.Time
		unsynced bool
		want     instant.Instant
		later    instant.Instant // once the clock can be trusted
	}{
		"of this boot":                 {"now", wall.Add(5 * time.Minute), wall, false, 999, 999},
		"of this boot, no clock":       {"now", time.Time{}, wall, true, 999, 999},
		"after a reboot":               {"before", wall.Add(5 * time.Minute), wall, false, minutes(5), minutes(5)},
		"ended meanwhile":              {"before", wall.Add(-5 * time.Minute), wall, false, minutes(-5), minutes(-5)},
		"longer than it ever was":      {"before", wall.Add(50 * time.Minute), wall, false, minutes(10), minutes(10)},
		"no clock yet":                 {"before", wall.Add(5 * time.Minute), wall, true, minutes(10), minutes(5)},
		"a clock that has gone back":   {"before", wall.Add(5 * time.Minute), wall.Add(time.Second), false, minutes(10), minutes(5)},
		"kept without a trusted clock": {"before", time.Time{}, wall, false, minutes(10), minutes(10)},
	} {
		now := instant.Now{Boot: boot, Wall: wall, Synced: !tc.unsynced}
		b := binding.Binding{Link: "lan0", Client: alice, Prefix: prefixes[0], Preferred: 500, Valid: 999, Lifetime: 10 * time.Minute, Source: binding.FromReply}
		table := binding.NewTable()
		table.Put(b) // what was there gives way
		table.Restore(now, binding.Record{Binding: b, BootID: tc.bootID, ValidWall: tc.end}, "now", tc.lastWall)
		got, _ := table.Lookup("", prefixes[0])
		if got.Valid != tc.want || got.Source != binding.FromStore || table.Len(binding.Prefix) != 1 {
			t.Errorf("%s: valid until %d, want %d; source %v, %d bindings", name, got.Valid, tc.want, got.Source, table.Len(binding.Prefix))
		}
		if waits := table.Waiting() == 1; waits != (tc.want != tc.later) {
			t.Errorf("%s: waits for a clock: %v", name, waits)
		}
		table.Rename("lan0", "lan1") // it waits under another name as well
		now.Synced, now.Wall = true, now.Wall.Add(2*time.Second)
		now.Boot = now.Boot.After(2 * time.Second)
		ended := table.Expire(nil, now)
		got, there := table.Lookup("", prefixes[0])
		if tc.later <= now.Boot {
			if there || len(ended) != 1 || ended[0].Old.Link != "lan1" {
				t.Errorf("%s: its end has passed, and it is there: %v, %+v", name, there, ended)
			}
		} else if got.Valid != tc.later || got.Link != "lan1" || table.Waiting() != 0 {
			t.Errorf("%s: later valid until %d on %s, want %d; %d wait", name, got.Valid, got.Link, tc.later, table.Waiting())
		}
	}
}

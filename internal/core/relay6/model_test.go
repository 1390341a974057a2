package relay6_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// random is a relay to which anything happens, with a store that may be slow or
// fail.
type random struct {
	*world
	told     int // datagrams already looked at
	granted  map[effect.ChangeID][]binding.Event
	everKept map[string]bool // link, client and prefix
	clients  *told           // what they know
}

func newRandom(t *rapid.T) *random {
	r := &random{
		world: newWorld(&rapidTB{t: t}, rule(func(l *relay6.LinkRule) {
			l.Delegations.ClientLimit, l.Delegations.LinkLimit = 2, 4
			l.Delegations.Move = pick(t, "move", []delegation.MovePolicy{delegation.MoveFollow, delegation.MoveProbe})
			l.Delegations.OnLimit = pick(t, "on limit", []delegation.LimitPolicy{delegation.LimitRefuse, delegation.LimitReplaceUnreachable})
		})),
		granted: make(map[effect.ChangeID][]binding.Event), everKept: make(map[string]bool),
	}
	r.clients = listen(r.world)
	r.watch = func(eff *effect.Effects) {
		r.clients.watch(eff)
		for _, s := range eff.Sends {
			for _, c := range eff.Changes {
				if c.ID != s.After {
					continue
				}
				for _, n := range eff.Notes {
					if k := n.Event.Kind; n.Kind == effect.NoteDelegation && (k == binding.Granted || k == binding.Extended || k == binding.Moved) {
						r.granted[c.ID] = append(r.granted[c.ID], n.Event)
					}
				}
			}
		}
	}
	r.onKeep = func(rec binding.Record) { r.everKept[placeOf(rec.Binding)] = true }
	return r
}

var (
	randomClients  = []client{alice, bob, carol, {lan1Index, alice.duid, "fe80::a1", alice.mac}}
	randomPrefixes = []string{"2001:db8:100::/56", "2001:db8:200::/56", "2001:db8:300::/60", "2001:db8:300::/56", "2001:db8:400::/64"}
	randomTimes    = []dhcp6.Lifetime{0, 5, 60, 600, dhcp6.Infinity}
)

func pick[T any](t *rapid.T, label string, from []T) T { return rapid.SampledFrom(from).Draw(t, label) }

func (r *random) reply(t *rapid.T) {
	c := pick(t, "client", randomClients)
	mt := pick(t, "type", []dhcp6.MessageType{dhcp6.Request, dhcp6.Renew, dhcp6.Rebind})
	up := r.says(c, message(mt, 1, clientID(c.duid)))
	var leases []option
	for n := range rapid.IntRange(0, 3).Draw(t, "prefixes") {
		leases = append(leases, iaPD(uint32(n), prefix(pick(t, "prefix", randomPrefixes), pick(t, "valid", randomTimes))))
	}
	r.serves(r.answer(up[0].Payload, r.world.reply(c, leases...)))
	r.look(t)
}

func (r *random) release(t *rapid.T) {
	c := pick(t, "client", randomClients)
	r.says(c, message(dhcp6.Release, 1, clientID(c.duid), iaPD(rapid.Uint32Range(0, 2).Draw(t, "iaid"))))
	r.look(t)
}

func (r *random) theStore(t *rapid.T) {
	r.slow = rapid.Bool().Draw(t, "slow")
	r.keepFail = nil
	if rapid.IntRange(0, 2).Draw(t, "fails") == 0 {
		r.keepFail = errStoreDown
	}
}

func (r *random) some(t *rapid.T) {
	r.finish(rapid.IntRange(1, 5).Draw(t, "changes"))
	r.look(t)
}

func (r *random) theLink(t *rapid.T) {
	name := pick(t, "link", []string{"lan0", "lan1"})
	r.setLink(name, func(l *links.Link) { l.Up = !l.Up })
	r.look(t)
}

func (r *random) theProbes(t *rapid.T) {
	probes := r.probes
	r.probes = nil
	for _, p := range probes {
		r.core.Probed(r.now, p.Question, rapid.Bool().Draw(t, "answers"), &r.eff)
		r.carryOut()
	}
	r.look(t)
}

func (r *random) time(t *rapid.T) {
	r.move(r.now.Boot.After(time.Duration(rapid.IntRange(1, 300).Draw(t, "s")) * time.Second))
	r.tick()
	r.look(t)
}

func (r *random) operator(t *rapid.T) {
	r.core.Clear(r.now, delegation.Selection{Link: pick(t, "link", []string{"lan0", "lan1"})}, &r.eff)
	r.carryOut()
	r.look(t)
}

// killed: the process dies, with whatever is in flight, and comes back.
func (r *random) killed(t *rapid.T) {
	clear(r.granted) // the numbers of changes begin anew
	slow := r.slow
	r.slow = false
	r.clients.crash()
	r.slow = slow
	r.look(t)
}

// look checks every Reply that has left for a client since the last look: what
// it gives the client, and we took note of, is in the store, with that client.
func (r *random) look(t *rapid.T) {
	for ; r.told < len(r.sent); r.told++ {
		s := r.sent[r.told]
		if s.ToPeer || s.Payload[0] != byte(dhcp6.Reply) || s.After == 0 {
			continue
		}
		m, err := dhcp6.ParseMessage(s.Payload)
		if err != nil {
			t.Fatalf("%x: %v", s.Payload, err)
		}
		duid, _ := m.ClientID()
		for _, e := range r.granted[s.After] {
			if e.New.Client.DUID() != string(duid) {
				t.Fatalf("change %d of another client is waited for", s.After)
			}
			if !r.everKept[placeOf(e.New)] {
				t.Fatalf("a Reply left that gives %v to %x, which was never kept", e.New.Prefix, duid)
			}
		}
	}
}

func placeOf(d binding.Binding) string {
	return d.Link + "\x00" + d.Client.DUID() + "\x00" + d.Prefix.String()
}

// carriedOut has the store work again and everything carried out. Then store, table and kernel
// must agree.
func (r *random) carriedOut(t *rapid.T) {
	r.keepFail, r.slow = nil, false
	for len(r.flight) > 0 {
		r.finish(len(r.flight))
	}
	r.sleep(5 * time.Second)
	totals := r.core.Totals()
	if totals.Unkept != 0 || totals.Pending != 0 {
		t.Fatalf("%d records not kept, %d changes pending, although all is well", totals.Unkept, totals.Pending)
	}
	kept := make(map[string]binding.Record)
	records, _, _ := r.kept()
	for _, rec := range records {
		kept[rec.Prefix.String()] = rec
	}
	n := 0
	for d := range r.core.Delegations {
		n++
		rec, ok := kept[d.Prefix.String()]
		if !ok || rec.Client != d.Client || rec.Link != d.Link || rec.NextHop != d.NextHop || rec.Valid != d.Valid {
			t.Fatalf("in the table %+v, in the store %+v", d, rec)
		}
		if len(r.kernel.RoutesOf(d.Prefix.String())) != 1 {
			t.Fatalf("%v has the routes %q", d.Prefix, r.kernel.RoutesOf(d.Prefix.String()))
		}
	}
	if n != len(kept) {
		t.Fatalf("%d delegations, %d records", n, len(kept))
	}
	if found := r.kernel.Compare(r.core.Kernel(), &r.eff); len(found) != 0 {
		t.Fatalf("the kernel is not what is wanted: %v", found)
	}
	r.eff.Reset()
}

// TestModel does to the relay whatever comes to mind. Nothing leaves on the
// strength of what was not kept, a crash after any deed loses nothing that a client
// knows, and in the end store, table and kernel agree.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRandom(t)
		t.Repeat(map[string]func(*rapid.T){
			"reply": r.reply, "reply 2": r.reply, "reply 3": r.reply, "release": r.release, "store": r.theStore, "some": r.some,
			"link": r.theLink, "probes": r.theProbes, "time": r.time, "operator": r.operator, "killed": r.killed, "carried out": r.carriedOut,
		})
		r.carriedOut(t)
	})
}

// rapidTB lets a world fail a rapid test.
type rapidTB struct {
	testing.TB // nil: nothing else is asked of it
	t          *rapid.T
}

func (tb *rapidTB) Helper()                           {}
func (tb *rapidTB) Errorf(format string, args ...any) { tb.t.Errorf(format, args...) }
func (tb *rapidTB) Error(args ...any)                 { tb.t.Error(args...) }
func (tb *rapidTB) Fatalf(format string, args ...any) { tb.t.Fatalf(format, args...) }

package server6_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate/hosttest"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// The ground plan: two links with clients, each with a subnet of its own, and a third subnet
// behind a relay agent that is heard on up0.
const (
	upIndex   = 2
	lan0Index = 10
	lan1Index = 11

	localAddr = "2001:db8:ffff::2"
	relayAddr = "2001:db8:ffff::7"
	serverID  = "\x00\x02\x00\x00\x7e\xd9server"
)

// world plays the shell around the core: a store, a network, and the rules that hold them
// together (effect.Effects). A change is kept, then the datagrams that name it leave; those that
// name none leave at once, before a change that follows.
type world struct {
	testing.TB
	cfg    *server6.Config
	core   *server6.Server
	eff    effect.Effects
	now    instant.Now
	bootID string
	links  map[string]links.Link

	store   map[string][]byte // what was kept
	keepErr error             // the store takes nothing
	slow    bool              // changes stay in flight until finish is called
	flight  []inFlight

	kernel     *hosttest.Kernel // nil: the server must want nothing of it
	orphansEnd instant.Instant  // of what a start finds left over; 0: it goes

	sent   []effect.Send
	held   []effect.Send  // datagrams that a failed change held back
	probes []effect.Probe // that were not answered yet: at the end of a test there are none
	sender client         // of what is fed
	notes  []effect.Note
	drops  []effect.Dropped
	order  []string // what was done, in the order it was done

	// sees hears of each datagram once it has left, or was held back, and of what became of the change
	// that it waited for. deed is called after each write and each datagram: there the power may go.
	sees func(s *effect.Send, keep error, left bool)
	deed func()
}

type inFlight struct {
	change effect.Change
	sends  []effect.Send
}

var errStoreDown = errors.New("store: down")

// newWorld is a world with the ground plan, after it was changed to taste.
func newWorld(tb testing.TB, change ...func(*server6.Config)) *world {
	w := &world{
		TB: tb, bootID: "boot-1", cfg: baseConfig(),
		now:   instant.Now{Boot: instant.Instant(time.Hour), Wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Synced: true},
		links: make(map[string]links.Link), store: make(map[string][]byte),
		sees: func(*effect.Send, error, bool) {}, deed: func() {},
	}
	for _, c := range change {
		c(w.cfg)
	}
	for _, l := range []links.Link{
		{Index: upIndex, Name: "up0", Addrs: []netip.Prefix{cidr(localAddr + "/64"), cidr("fe80::2/64")}},
		{Index: lan0Index, Name: "lan0", Addrs: []netip.Prefix{cidr("fe80::10/64"), cidr("2001:db8:1::1/64")}},
		{Index: lan1Index, Name: "lan1", Addrs: []netip.Prefix{cidr("fe80::11/64"), cidr("2001:db8:2::1/64")}},
	} {
		l.Up, l.Running, l.MTU, l.HardwareType = true, true, 1500, 1
		w.links[l.Name] = l
	}
	tb.Cleanup(func() {
		if len(w.probes) > 0 {
			w.Errorf("the server asks %+v, which the test does not answer", w.probes)
		}
	})
	if slices.ContainsFunc(w.cfg.Links, func(r server6.LinkRule) bool { return r.Router }) {
		w.kernel = hosttest.New()
	}
	w.start(server6.New(w.cfg, w.bootID))
	return w
}

// lifetimes are those of every subnet of the ground plan. T1 is 1500 s of them, T2 is 2400 s.
var lifetimes = server6.Lifetimes{Preferred: 3000, Valid: 4000}

func baseConfig() *server6.Config {
	network := func(prefix, first, last, pd string) server6.Network {
		return server6.Network{Name: prefix, Subnets: []server6.Subnet{{
			Prefix: cidr(prefix), Lifetimes: lifetimes,
			Pools:   []server6.AddressPool{{First: addr(first), Last: addr(last)}},
			PDPools: []server6.PrefixPool{{Prefix: cidr(pd), Length: 56, Min: 56, Max: 56}},
		}}}
	}
	return &server6.Config{
		ServerID: dhcp6.DUID(serverID),
		Peers:    []trust.Peer{relayPeer("access", relayAddr)},
		Links: []server6.LinkRule{{
			Match: []string{"lan*"}, Limits: delegation.Policy{ClientLimit: 8, LinkLimit: 4096, HostLimit: delegation.HostLimitAuto, Move: delegation.MoveAuto},
		}},
		Relayed: server6.DefaultRelayed(),
		Networks: []server6.Network{
			network("2001:db8:1::/64", "2001:db8:1::1:0", "2001:db8:1::1:ffff", "2001:db8:4000::/40"),
			network("2001:db8:2::/64", "2001:db8:2::1:0", "2001:db8:2::1:ff", "2001:db8:5000::/48"),
			network("2001:db8:8::/64", "2001:db8:8::1:0", "2001:db8:8::1:ffff", "2001:db8:6000::/40"),
		},
		Secret: [32]byte{1, 2, 3},
	}
}

func relayPeer(name, address string) trust.Peer {
	return trust.Peer{
		Name: name, Address: addr(address), Prefix: netip.PrefixFrom(addr(address), 128), Local: addr(localAddr),
		Role: trust.Relay, Interfaces: []string{"up*"}, Protection: trust.ProtectionNone,
	}
}

// subnet changes the subnet of lan0; subnetOf that of the n-th network.
func subnet(change func(*server6.Subnet)) func(*server6.Config) { return subnetOf(0, change) }

func subnetOf(n int, change func(*server6.Subnet)) func(*server6.Config) {
	return func(c *server6.Config) { change(&c.Networks[n].Subnets[0]) }
}

// limits changes the limits of the one rule for links.
func limits(change func(*delegation.Policy)) func(*server6.Config) {
	return func(c *server6.Config) { change(&c.Links[0].Limits) }
}

func rapidCommit(sn *server6.Subnet) { sn.RapidCommit = true }

// pool makes a subnet's only pool of addresses.
func pool(first, last string) func(*server6.Subnet) {
	return func(sn *server6.Subnet) {
		sn.Pools = []server6.AddressPool{{First: addr(first), Last: addr(last)}}
	}
}

// pdPool makes a subnet's only pool of prefixes.
func pdPool(p server6.PrefixPool) func(*server6.Subnet) {
	return func(sn *server6.Subnet) { sn.PDPools = []server6.PrefixPool{p} }
}

// start has a core hear of the links, and then of what is kept, as the application does.
func (w *world) start(core *server6.Server) {
	w.core = core
	for _, name := range slices.Sorted(maps.Keys(w.links)) {
		w.tellLink(name)
	}
	var records []binding.Record
	lastWall := time.Time{}
	from, to := server6.RecordRange()
	for _, key := range slices.Sorted(maps.Keys(w.store)) {
		value := w.store[key]
		switch {
		case key == string(ledger.ClockKey()):
			lastWall = ledger.ParseClock(value)
		case key >= string(from) && key < string(to):
		case !ledger.IsPast([]byte(key)):
			if rec, err := binding.ParseRecord(value); err == nil {
				records = append(records, rec)
			}
		}
	}
	w.core.Restore(w.now, slices.Values(records), lastWall, &w.eff)
	for _, key := range slices.Sorted(maps.Keys(w.store)) {
		if key >= string(from) && key < string(to) {
			if err := w.core.RestoreRecord(w.now, []byte(key), w.store[key]); err != nil {
				w.Errorf("%x: %v", key, err)
			}
		}
	}
	w.carryOut()
	if w.kernel == nil {
		return
	}
	if w.orphansEnd > 0 {
		w.core.Kernel().AdoptLeftOver(w.orphansEnd)
	}
	w.kernel.Compare(w.core.Kernel(), &w.eff)
	w.carryOut()
}

// tellLink tells the core of a link as it is.
func (w *world) tellLink(name string) {
	l := w.links[name]
	if w.kernel != nil {
		w.kernel.Link(l.Index, l.Up)
	}
	w.core.SetLink(l, &w.eff)
}

// restart is the process gone and back in the same boot: what was in flight is lost.
func (w *world) restart() {
	w.flight, w.eff = nil, effect.Effects{}
	w.start(server6.New(w.cfg, w.bootID))
}

// reboot is the machine gone and back: the boot clock begins anew, the wall clock shows what
// the test says.
func (w *world) reboot(wall time.Time, synced bool) {
	w.bootID += "+"
	w.now = instant.Now{Boot: instant.Instant(30 * time.Second), Wall: wall, Synced: synced}
	w.restart()
}

// reconfigure is a reload.
func (w *world) reconfigure(change ...func(*server6.Config)) {
	w.cfg = baseConfig()
	for _, c := range change {
		c(w.cfg)
	}
	w.core.Reconfigure(w.cfg, &w.eff)
	w.carryOut()
}

// setLink changes a link and tells the core.
func (w *world) setLink(name string, change func(*links.Link)) {
	l := w.links[name]
	l.Addrs = slices.Clone(l.Addrs)
	delete(w.links, name)
	change(&l)
	w.links[l.Name] = l
	w.tellLink(l.Name)
	w.carryOut()
}

func (w *world) removeLink(name string) {
	if w.kernel != nil {
		w.kernel.Link(w.links[name].Index, false)
	}
	delete(w.links, name)
	w.core.RemoveLink(name, &w.eff)
	w.carryOut()
}

// sleep moves both clocks, ticking at every deadline on the way.
func (w *world) sleep(d time.Duration) {
	end := w.now.Boot.After(d)
	for still := 0; ; {
		at := w.core.Deadline()
		if at > end {
			break
		}
		if still++; at > w.now.Boot {
			still = 0
		} else if still > 1000 {
			w.Fatalf("deadline %v is not after now %v, although Tick was called", at, w.now.Boot)
		}
		w.move(max(at, w.now.Boot))
		w.core.Tick(w.now, &w.eff)
		w.carryOut()
	}
	w.move(end)
}

func (w *world) move(to instant.Instant) {
	w.now.Wall = w.now.Wall.Add(time.Duration(to - w.now.Boot))
	w.now.Boot = to
}

// carryOut does what the Effects want, as the shell must.
func (w *world) carryOut() {
	w.probes = append(w.probes, w.eff.Probes...)
	follows := false
	for _, c := range w.eff.Changes {
		if len(c.Host) > 0 && w.kernel == nil {
			w.Fatalf("the server wants nothing of the kernel, but %+v", c.Host)
		}
		w.flight = append(w.flight, inFlight{change: c})
		follows = follows || c.Follows
	}
	var atOnce []effect.Send
	for _, s := range w.eff.Sends {
		s.Payload = slices.Clone(s.Payload)
		if i := slices.IndexFunc(w.flight, func(f inFlight) bool { return s.After != 0 && f.change.ID == s.After }); i >= 0 {
			w.flight[i].sends = append(w.flight[i].sends, s)
			continue
		}
		atOnce = append(atOnce, s)
	}
	early := follows || w.slow || len(w.eff.Changes) == 0
	w.notes = append(w.notes, w.eff.Notes...)
	w.drops = append(w.drops, w.eff.Drops...)
	w.eff.Reset()
	if early {
		w.sendAll(atOnce, nil)
	}
	if !w.slow {
		w.finish(len(w.flight))
	}
	if !early {
		w.sendAll(atOnce, nil)
	}
}

// finish carries out the n oldest changes in flight.
func (w *world) finish(n int) {
	for ; n > 0 && len(w.flight) > 0; n-- {
		f := w.flight[0]
		w.flight = w.flight[1:]
		o := effect.Outcome{ID: f.change.ID}
		if len(f.change.Keep) > 0 {
			if o.Keep = w.keepErr; o.Keep == nil && w.taken(f.change.Keep) {
				o.Keep = fmt.Errorf("commit: %w", effect.ErrTaken)
			}
			if o.Keep == nil {
				w.keep(f.change.Keep)
			}
		}
		if o.Keep == nil {
			for _, op := range f.change.Host {
				if err := w.kernel.Apply(op); err != nil {
					o.Install = append(o.Install, effect.FailedOp{Op: op, Err: err})
				}
			}
		}
		for _, s := range f.sends {
			if o.Keep != nil && !s.Extends {
				w.held = append(w.held, s)
				w.order = append(w.order, "held")
				w.sees(&s, o.Keep, false)
				continue
			}
			w.sendAll([]effect.Send{s}, o.Keep)
		}
		w.core.Settle(w.now, o, &w.eff)
		w.carryOut()
	}
}

// taken reports whether the store has another record than one of the operations expects, as where
// another server writes into it too.
func (w *world) taken(ops []effect.KeepOp) bool {
	return slices.ContainsFunc(ops, func(op effect.KeepOp) bool {
		return op.Expect != nil && string(op.Expect) != string(w.store[string(op.Key)])
	})
}

func (w *world) keep(ops []effect.KeepOp) {
	w.order = append(w.order, "keep")
	for _, op := range ops {
		if op.Value == nil {
			delete(w.store, string(op.Key))
		} else {
			w.store[string(op.Key)] = slices.Clone(op.Value)
		}
	}
	w.deed()
}

// sendAll has datagrams leave whose change the store has taken, or not. A Reply that tells of a lease must find
// it in the store.
func (w *world) sendAll(all []effect.Send, keep error) {
	for _, s := range all {
		a := w.read(innermost(s.Payload))
		for _, x := range a.ias {
			for _, l := range x.leases {
				if rec, kept := w.record(l.prefix); a.kind == dhcp6.Reply && l.valid > 0 && (!kept || rec.Client.DUID() != a.client || rec.IAID != x.id) {
					w.Errorf("a Reply tells %q of %v, of which the store has %+v", a.client, l.prefix, rec)
				}
			}
		}
		w.sent = append(w.sent, s)
		w.order = append(w.order, "send")
		w.sees(&s, keep, true)
		w.deed()
	}
}

// record is what the store has of a lease. Where the link has moved to another VRF, there may be a former
// record until the next Tick.
func (w *world) record(p netip.Prefix) (rec binding.Record, kept bool) {
	for _, vrf := range []string{"", "red"} {
		value, has := w.store[string(binding.Key(nil, binding.Server6, vrf, p))]
		if !has {
			continue
		}
		one, err := binding.ParseRecord(value)
		if err != nil {
			w.Fatalf("record of %v: %v", p, err)
		}
		if !kept || slices.ContainsFunc(slices.Collect(w.core.Leases), func(b binding.Binding) bool { return b.Prefix == p && b.VRF == vrf }) {
			rec, kept = one, true
		}
	}
	return rec, kept
}

// packet hands the core one datagram and returns what left because of it.
func (w *world) packet(p inbound.Packet) []effect.Send {
	before := len(w.sent)
	w.core.Handle(w.now, &p, &w.eff)
	w.carryOut()
	return w.sent[before:]
}

// probed answers all probes, and returns what left because of it. Each of them has to be to that next hop.
func (w *world) probed(of client, answers bool) []effect.Send {
	w.Helper()
	before, probes := len(w.sent), w.probes
	w.probes = nil
	for _, p := range probes {
		want := binding.NextHop{Link: w.nameOf(of.link), Addr: addr(of.addr), LinkLayer: of.mac}
		if p.NextHop != want || p.Index != of.link || p.Prefix.IsValid() {
			w.Errorf("the server asks %+v, want %+v", p, want)
		}
		w.core.Probed(w.now, p.Question, answers, &w.eff)
		w.carryOut()
	}
	if len(probes) == 0 {
		w.Errorf("the server asks nobody, want %s", of.addr)
	}
	return w.sent[before:]
}

func (w *world) nameOf(index int) string {
	for name, l := range w.links {
		if l.Index == index {
			return name
		}
	}
	return ""
}

// client is somebody on a link with clients.
type client struct {
	link int
	duid string
	addr string
	mac  linkaddr.Addr
}

var (
	alice = client{lan0Index, "\x00\x03\x00\x01alice", "fe80::a", mac("02:00:5e:00:53:0a")}
	bob   = client{lan0Index, "\x00\x03\x00\x01bobby", "fe80::b", mac("02:00:5e:00:53:0b")}
	carol = client{lan1Index, "\x00\x03\x00\x01carol", "fe80::c", mac("02:00:5e:00:53:0c")}
)

// somebody is one of many clients on lan0.
func somebody(n int) client {
	low := []byte{byte(n >> 16), byte(n >> 8), byte(n)}
	return client{
		lan0Index, "\x00\x04some" + string(low),
		netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: 1, 13: low[0], 14: low[1], 15: low[2]}).String(),
		linkaddr.From([]byte{2, 1, 0, low[0], low[1], low[2]}),
	}
}

// from is a datagram of a client, by multicast.
func (c client) from(payload []byte) inbound.Packet {
	return inbound.Packet{
		Link: c.link, Source: netip.AddrPortFrom(addr(c.addr), 546), Dest: addr("ff02::1:2"),
		LinkLayer: c.mac, HardwareType: 1, Framed: true, Payload: payload,
	}
}

// says is a client's message on its way in.
func (w *world) says(c client, payload []byte) []effect.Send { return w.packet(c.from(payload)) }

// asks is a client's message that has to be answered to it.
func (w *world) asks(c client, t dhcp6.MessageType, options ...option) answer {
	w.Helper()
	got := w.says(c, c.message(t, options...))
	if len(got) != 1 {
		w.Fatalf("%v: %d datagrams, want one answer (drops %v)", t, len(got), w.drops)
	}
	if s := got[0]; s.ToPeer || s.Link != c.link || s.Dest != netip.AddrPortFrom(addr(c.addr), 546) || s.LinkLayer != c.mac {
		w.Fatalf("%v: the answer goes to %+v", t, s)
	}
	return w.read(got[0].Payload)
}

// obtains is a client that asks, takes what it is offered, and so gets it.
func (w *world) obtains(c client, ias ...option) answer {
	w.Helper()
	offer := w.asks(c, dhcp6.Solicit, ias...)
	got := w.asks(c, dhcp6.Request, offer.taken()...)
	if got.leases() != offer.leases() {
		w.Fatalf("offered %q and given %q", offer.leases(), got.leases())
	}
	return got
}

// ignored is a client's message to which there is no answer, for that reason.
func (w *world) ignored(what string, p inbound.Packet, want effect.Drop) {
	w.Helper()
	w.drops = nil
	if got := w.packet(p); len(got) != 0 || len(w.drops) != 1 || w.drops[0].Reason != want {
		w.Errorf("%s: %d answers, dropped %v, want %v", what, len(got), w.drops, want)
	}
}

// relays is a Relay-forward from the relay agent.
func (w *world) relays(payload []byte) []effect.Send {
	return w.packet(fromRelay(payload))
}

func fromRelay(payload []byte) inbound.Packet {
	return inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(addr(relayAddr), 547), Dest: addr(localAddr), Payload: payload}
}

// asksBy is a client's message that a relay agent brings, and has to be answered through it.
func (w *world) asksBy(l layerOf, c client, t dhcp6.MessageType, options ...option) answer {
	w.Helper()
	got := w.relays(l.around(c.addr, c.message(t, options...)))
	if len(got) != 1 || !got[0].ToPeer {
		w.Fatalf("%v: %d datagrams, want one to the relay (drops %v)", t, len(got), w.drops)
	}
	return w.read(innermost(got[0].Payload))
}

// obtainsBy is obtains through a relay agent.
func (w *world) obtainsBy(l layerOf, c client, ias ...option) answer {
	w.Helper()
	offer := w.asksBy(l, c, dhcp6.Solicit, ias...)
	got := w.asksBy(l, c, dhcp6.Request, offer.taken()...)
	if got.leases() != offer.leases() {
		w.Fatalf("offered %q and given %q", offer.leases(), got.leases())
	}
	return got
}

// clears is what an operator does.
func (w *world) clears(of delegation.Selection) (n int) {
	for {
		more := w.core.Clear(w.now, of, &w.eff)
		w.carryOut()
		if n += more; more == 0 {
			return n
		}
	}
}

// holds are the leases that the server has, as texts.
func (w *world) holds() (all []string) {
	for b := range w.core.Leases {
		all = append(all, b.Prefix.String())
	}
	slices.Sort(all)
	return all
}

// agrees checks that leases, pools and store say the same, where nothing is under way.
func (w *world) agrees() {
	w.Helper()
	taken := make(map[netip.Prefix]bool)
	for b := range w.core.Leases {
		for other := range taken {
			if b.Prefix.Overlaps(other) {
				w.Errorf("%v and %v are leased at once", b.Prefix, other)
			}
		}
		taken[b.Prefix] = true
		if rec, kept := w.record(b.Prefix); w.keepErr == nil && (!kept || rec.Client != b.Client || rec.IAID != b.IAID || rec.Valid != b.Valid && b.Source != binding.FromStore) {
			w.Errorf("%v: the store has %+v, the table %+v", b.Prefix, rec, b)
		}
	}
	from, to := binding.KeyRange(binding.Server6)
	for key := range w.store {
		if rec, err := binding.ParseRecord(w.store[key]); key >= string(from) && key < string(to) && err == nil && !taken[rec.Prefix] && w.keepErr == nil {
			w.Errorf("the store has %v, which nobody has", rec.Prefix)
		}
	}
}

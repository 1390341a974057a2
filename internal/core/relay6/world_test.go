package relay6_test

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/hoststate/hosttest"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// The ground plan: a server behind an uplink, two client-facing links.
const (
	serverAddr = "2001:db8:ffff::1"
	localAddr  = "2001:db8:ffff::2"
	upIndex    = 2
	lan0Index  = 10
	lan1Index  = 11
)

// world plays the shell around the core: a store, a kernel and a network, and
// the rules that hold them together (effect.Effects). A change is kept, then
// installed, then the datagrams that name it leave; those that name none leave at
// once, before a change that follows.
type world struct {
	testing.TB
	cfg        *relay6.Config
	core       *relay6.Relay
	eff        effect.Effects
	now        instant.Now
	bootID     string
	orphansEnd instant.Instant // of what a start finds left over; 0: it goes

	links  map[string]links.Link
	store  map[string][]byte
	kernel *hosttest.Kernel

	slow     bool // changes stay in flight until finish is called
	keepFail error
	flight   []inFlight

	sent   []effect.Send
	probes []effect.Probe
	notes  []effect.Note
	drops  []effect.Dropped
	held   []effect.Send // datagrams that a failed change held back
	order  []string      // what was done, in the order it was done

	trace  func(line string)     // of a scenario; nil: none
	watch  func(*effect.Effects) // sees every Effects; nil: nobody does
	sees   func(deed)            // sees every deed once it is done; nil: nobody does
	onKeep func(binding.Record)  // sees every record that is kept; nil: nobody does
}

// deed is one step of the shell. A crash may come after any.
type deed struct {
	name string       // keep, install, send, or held: a datagram that was given up
	send *effect.Send // for the last two
	keep error        // of the change that the datagram waited for
}

func (w *world) did(d deed) {
	w.order = append(w.order, d.name)
	if w.sees != nil {
		w.sees(d)
	}
}

type inFlight struct {
	change effect.Change
	sends  []effect.Send
}

var errStoreDown = errors.New("store: down")

// newWorld is a world with the ground plan, after the configuration was changed
// to taste.
func newWorld(tb testing.TB, change ...func(*relay6.Config)) *world {
	w := &world{
		TB: tb, bootID: "boot-1", cfg: baseConfig(),
		now:    instant.Now{Boot: instant.Instant(time.Hour), Wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Synced: true},
		links:  make(map[string]links.Link),
		store:  make(map[string][]byte),
		kernel: hosttest.New(),
	}
	for _, c := range change {
		c(w.cfg)
	}
	for _, l := range []links.Link{
		{Index: upIndex, Name: "up0", Addrs: []netip.Prefix{cidr(localAddr + "/64"), cidr("fe80::2/64")}},
		{Index: lan0Index, Name: "lan0", Addrs: []netip.Prefix{cidr("fe80::10/64"), cidr("2001:db8:1::1/64")}},
		{Index: lan1Index, Name: "lan1", Addrs: []netip.Prefix{cidr("fe80::11/64"), cidr("2001:db8:2::1/64")}},
	} {
		l.Up, l.Running, l.MTU, l.HardwareType, l.Table = true, true, 1500, 1, hoststate.MainTable
		w.links[l.Name] = l
	}
	w.start()
	return w
}

func baseConfig() *relay6.Config {
	return &relay6.Config{
		Peers: []trust.Peer{server("srv", serverAddr)},
		Links: []relay6.LinkRule{{
			Match: []string{"lan*"}, InterfaceID: template("{interface}"),
			Delegations: delegation.Policy{ClientLimit: delegation.DefaultClientLimit, LinkLimit: delegation.DefaultLinkLimit},
			Host:        hoststate.Policy{Filter: hoststate.FilterLink, Loop: hoststate.LoopDrop},
		}},
	}
}

func server(name, address string) trust.Peer {
	return trust.Peer{
		Name: name, Address: addr(address), Prefix: netip.PrefixFrom(addr(address), 128), Local: addr(localAddr),
		Role: trust.Server, Interfaces: []string{"up*"}, Protection: trust.ProtectionNone,
	}
}

func template(s string) links.Template {
	t, err := links.ParseTemplate(s)
	if err != nil {
		panic(err)
	}
	return t
}

// rule changes the one rule for client-facing links.
func rule(change func(*relay6.LinkRule)) func(*relay6.Config) {
	return func(c *relay6.Config) { change(&c.Links[0]) }
}

// policy changes what that rule says of delegations.
func policy(change func(*delegation.Policy)) func(*relay6.Config) {
	return rule(func(r *relay6.LinkRule) { change(&r.Delegations) })
}

// start makes a core out of what is kept, as the application does: links first,
// then what was kept, then a look at the kernel.
func (w *world) start() {
	w.core = relay6.New(w.cfg, w.bootID)
	for key, value := range w.store {
		if link, p, err := relay6.ParseLinkRecord([]byte(key), value); err == nil {
			w.core.RestoreLink(link, p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.links)) {
		l := w.links[name]
		w.kernel.Link(l.Index, l.Up)
		w.core.SetLink(l, &w.eff)
	}
	records, blocks, lastWall := w.kept()
	w.core.Restore(w.now, slices.Values(records), blocks, lastWall, &w.eff)
	w.carryOut()
	if w.orphansEnd > 0 {
		w.core.Kernel().AdoptLeftOver(w.orphansEnd)
	}
	w.kernel.Compare(w.core.Kernel(), &w.eff)
	w.core.Start(&w.eff)
	w.carryOut()
}

// kept reads the store.
func (w *world) kept() (records []binding.Record, blocks []delegation.Block, lastWall time.Time) {
	for _, key := range slices.Sorted(maps.Keys(w.store)) {
		value := w.store[key]
		switch {
		case key == string(ledger.ClockKey()):
			lastWall = ledger.ParseClock(value)
		case letter(key) == 'd':
			rec, err := binding.ParseRecord(value)
			if err != nil {
				w.Fatalf("record %x: %v", key, err)
			}
			records = append(records, rec)
		case letter(key) == 'b':
			b, err := delegation.ParseBlock([]byte(key))
			if err != nil {
				w.Fatalf("block %x: %v", key, err)
			}
			blocks = append(blocks, b)
		}
	}
	return records, blocks, lastWall
}

// letter is what a key of the store begins with, behind the space of the role.
func letter[K ~string | ~[]byte](key K) byte {
	return strings.TrimPrefix(string(key), string(binding.Relay6))[0]
}

// restart is the process gone and back in the same boot: what was in flight is
// lost, the kernel and the store are as they were.
func (w *world) restart() {
	w.flight, w.eff = nil, effect.Effects{}
	w.start()
}

// reboot is the machine gone and back: the boot clock begins anew, the kernel is
// empty, the wall clock shows what the test says.
func (w *world) reboot(wall time.Time, synced bool) {
	w.bootID += "+"
	w.kernel = hosttest.New()
	w.now = instant.Now{Boot: instant.Instant(30 * time.Second), Wall: wall, Synced: synced}
	w.restart()
}

// sleep moves both clocks, ticking at every deadline on the way.
func (w *world) sleep(d time.Duration) {
	end := w.now.Boot + instant.Instant(d)
	for {
		at := w.core.Deadline()
		if at > end {
			break
		}
		w.move(max(at, w.now.Boot))
		w.core.Tick(w.now, &w.eff)
		w.carryOut()
		if again := w.core.Deadline(); again <= w.now.Boot {
			w.Fatalf("deadline %v is not after now %v, although Tick was called", again, w.now.Boot)
		}
	}
	w.move(end)
}

func (w *world) move(to instant.Instant) {
	w.now.Wall = w.now.Wall.Add(time.Duration(to - w.now.Boot))
	w.now.Boot = to
}

func (w *world) tick() {
	w.core.Tick(w.now, &w.eff)
	w.carryOut()
}

// carryOut does what the Effects want, as the shell must. Where the Effects leave the
// order open, what leaves at once leaves last.
func (w *world) carryOut() {
	follows := false
	for _, c := range w.eff.Changes {
		w.flight = append(w.flight, inFlight{change: c})
		follows = follows || c.Follows
	}
	var atOnce []effect.Send
	for _, s := range w.eff.Sends {
		s.Payload = slices.Clone(s.Payload)
		if i := w.inFlight(s.After); i >= 0 {
			w.flight[i].sends = append(w.flight[i].sends, s)
			continue
		}
		atOnce = append(atOnce, s)
	}
	if w.watch != nil {
		w.watch(&w.eff)
	}
	if follows || w.slow || len(w.eff.Changes) == 0 {
		w.sendAll(atOnce)
		atOnce = nil
	}
	w.traceEffects()
	w.probes = append(w.probes, w.eff.Probes...)
	w.notes = append(w.notes, w.eff.Notes...)
	w.drops = append(w.drops, w.eff.Drops...)
	w.eff.Reset()
	if !w.slow {
		w.finish(len(w.flight))
	}
	w.sendAll(atOnce)
}

func (w *world) sendAll(all []effect.Send) {
	for _, s := range all {
		w.send(s, nil)
	}
}

func (w *world) inFlight(id effect.ChangeID) int {
	return slices.IndexFunc(w.flight, func(f inFlight) bool { return id != 0 && f.change.ID == id })
}

// finish carries out the n oldest changes in flight.
func (w *world) finish(n int) {
	for ; n > 0 && len(w.flight) > 0; n-- {
		f := w.flight[0]
		w.flight = w.flight[1:]
		w.carryOutChange(f)
	}
}

func (w *world) carryOutChange(f inFlight) {
	o := effect.Outcome{ID: f.change.ID}
	if len(f.change.Keep) > 0 {
		if o.Keep = w.keepFail; o.Keep == nil {
			for _, k := range f.change.Keep {
				w.keep(k)
			}
			w.did(deed{name: "keep"})
		}
	}
	for _, op := range f.change.Host {
		err := w.kernel.Apply(op)
		w.traceOp(op, err)
		if err != nil {
			o.Install = append(o.Install, effect.FailedOp{Op: op, Err: err})
		}
	}
	if len(f.change.Host) > 0 {
		w.did(deed{name: "install"})
	}
	for _, s := range f.sends {
		if len(o.Install) > 0 || o.Keep != nil && !s.Extends {
			w.traceSend("held back", s)
			w.held = append(w.held, s)
			w.did(deed{"held", &s, o.Keep})
			continue
		}
		w.send(s, o.Keep)
	}
	w.core.Settle(w.now, o, &w.eff)
	w.carryOut()
}

func (w *world) keep(k effect.KeepOp) {
	w.traceKeep(k)
	if rec, err := binding.ParseRecord(k.Value); w.onKeep != nil && letter(k.Key) == 'd' && err == nil {
		w.onKeep(rec)
	}
	if k.Value == nil {
		delete(w.store, string(k.Key))
	} else {
		w.store[string(k.Key)] = slices.Clone(k.Value)
	}
}

// send has a datagram leave, after a change that could not be kept if keep is set.
func (w *world) send(s effect.Send, keep error) {
	w.traceSend("", s)
	w.sent = append(w.sent, s)
	w.did(deed{"send", &s, keep})
}

// packet hands the core one datagram and returns what left because of it.
func (w *world) packet(p inbound.Packet) []effect.Send {
	before := len(w.sent)
	w.core.Handle(w.now, &p, &w.eff)
	w.carryOut()
	return w.sent[before:]
}

// client is somebody on a client-facing link.
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

// says is a client's message on its way in.
func (w *world) says(c client, payload []byte) []effect.Send {
	return w.packet(inbound.Packet{
		Link: c.link, Source: netip.AddrPortFrom(addr(c.addr), 546), Dest: addr("ff02::1:2"),
		LinkLayer: c.mac, HardwareType: 1, Payload: payload,
	})
}

// serves is a datagram from the server.
func (w *world) serves(payload []byte) []effect.Send {
	return w.packet(inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(addr(serverAddr), 547), Dest: addr(localAddr), Payload: payload})
}

// answer wraps a message for a client the way a server does that was asked
// through these relay layers: it echoes what it must echo.
func (w *world) answer(forwarded, inner []byte) []byte {
	l := readLayer(w, forwarded)
	if len(l.inner) > 0 && l.inner[0] == byte(dhcp6.RelayForward) {
		inner = w.answer(l.inner, inner)
	}
	b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, l.hops, l.link, l.peer)
	for _, o := range l.options {
		if o.code == int(dhcp6.OptionInterfaceID) || o.code == int(dhcp6.OptionRelayPort) {
			b = dhcp6.AppendOption(b, dhcp6.OptionCode(o.code), o.payload)
		}
	}
	return dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, inner)
}

// exchange is one message of a client, forwarded, and the server's answer of
// type Reply with the options given. It returns what reached the client.
func (w *world) exchange(c client, t dhcp6.MessageType, options ...option) []effect.Send {
	w.Helper()
	forwarded := w.says(c, message(t, 0xabc, clientID(c.duid)))
	if len(forwarded) != 1 {
		w.Fatalf("%v of %s: %d datagrams forwarded, want 1 (drops %v)", t, c.addr, len(forwarded), w.drops)
	}
	return w.serves(w.answer(forwarded[0].Payload, w.reply(c, options...)))
}

// reply is a server's Reply to a client.
func (w *world) reply(c client, options ...option) []byte {
	return message(dhcp6.Reply, 0xabc, append([]option{clientID(c.duid), raw(dhcp6.OptionServerID, 0, 3, 0, 1, 9)}, options...)...)
}

// lease is a Request and a Reply, which must reach the client.
func (w *world) lease(c client, options ...option) {
	w.Helper()
	if got := w.exchange(c, dhcp6.Request, options...); len(got) != 1 {
		w.Fatalf("Reply to %s: %d datagrams, want 1 (drops %v)", c.addr, len(got), w.drops)
	}
}

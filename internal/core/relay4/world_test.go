package relay4_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// The ground plan: a server behind an uplink, two links with clients, and a device that
// only has an address, which unnumbered links may borrow.
const (
	serverAddr = "192.0.2.1"
	localAddr  = "192.0.2.2"
	lan0Addr   = "10.0.0.1"
	lan1Addr   = "10.0.1.1"
	lentAddr   = "198.51.100.1"

	upIndex   = 2
	dumIndex  = 3
	lan0Index = 10
	lan1Index = 11
)

// world plays the shell around the core.
type world struct {
	testing.TB
	cfg   *relay4.Config
	core  *relay4.Relay
	eff   effect.Effects
	now   instant.Now
	links map[string]links.Link

	store   map[string][]byte // what was kept
	keepErr error             // the store takes nothing

	kernel *kernel  // nil: it is not to know of leases
	order  []string // what was done, in its order

	sent  []effect.Send
	notes []effect.Note
	drops []effect.Dropped
}

// newWorld is a world with the ground plan, after it was changed to taste.
func newWorld(tb testing.TB, change ...func(*world)) *world {
	w := &world{
		TB:    tb,
		now:   instant.Now{Boot: instant.Instant(time.Hour), Wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Synced: true},
		links: make(map[string]links.Link), store: make(map[string][]byte),
		cfg: &relay4.Config{
			Peers: []trust.Peer{peer("srv", serverAddr)},
			Links: []relay4.LinkRule{{
				Match: []string{"lan*"}, HopCount: relay4.DefaultHopCount,
				AgentInformation: relay4.Add, CircuitID: template("{interface}"),
				Limits: relay4.LeaseLimits{Client: 4, Link: 100, Host: delegation.HostLimitAuto},
			}},
		},
	}
	for i, l := range []links.Link{
		{Index: upIndex, Name: "up0", Addrs: []netip.Prefix{cidr(localAddr + "/24")}},
		{Index: dumIndex, Name: "dum0", Addrs: []netip.Prefix{cidr(lentAddr + "/32")}, Dummy: true},
		{Index: lan0Index, Name: "lan0", Addrs: []netip.Prefix{cidr(lan0Addr + "/24")}},
		{Index: lan1Index, Name: "lan1", Addrs: []netip.Prefix{cidr(lan1Addr + "/24")}},
	} {
		l.Up, l.Running, l.MTU, l.HardwareType = true, true, 1500, 1
		l.LinkLayer = linkaddr.From([]byte{2, 0, 0x5e, 0, 0x53, byte(0xf0 + i)})
		w.links[l.Name] = l
	}
	for _, c := range change {
		c(w)
	}
	w.start(relay4.New(w.cfg, "boot"))
	return w
}

// start has a core hear of the links.
func (w *world) start(core *relay4.Relay) {
	w.core = core
	for _, name := range slices.Sorted(maps.Keys(w.links)) {
		w.core.SetLink(w.links[name], &w.eff)
	}
	w.carryOut()
}

func addr(s string) netip.Addr   { return netip.MustParseAddr(s) }
func cidr(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func peer(name, address string) trust.Peer {
	return trust.Peer{
		Name: name, Address: addr(address), Prefix: netip.PrefixFrom(addr(address), 32), Local: addr(localAddr),
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
func rule(change func(*relay4.LinkRule)) func(*world) {
	return func(w *world) { change(&w.cfg.Links[0]) }
}

// config changes what is not of a rule.
func config(change func(*relay4.Config)) func(*world) { return func(w *world) { change(w.cfg) } }

// trusted is a rule for links with relay agents and bridges behind them.
var trusted = rule(func(r *relay4.LinkRule) { r.Trusted = true })

// lan0Trusted has a rule of its own for lan0, which is trusted.
func lan0Trusted(w *world) {
	own := w.cfg.Links[0]
	own.Match, own.Trusted = []string{"lan0"}, true
	w.cfg.Links = append([]relay4.LinkRule{own}, w.cfg.Links...)
}

// unnumbered takes the addresses of the client-facing links away, which share one that they
// borrow.
func unnumbered(w *world) {
	for _, name := range []string{"lan0", "lan1"} {
		l := w.links[name]
		l.Addrs = nil
		w.links[name] = l
	}
	for i := range w.cfg.Links {
		w.cfg.Links[i].Borrow = "dum0"
	}
}

// setLink changes a link and tells the core.
func (w *world) setLink(name string, change func(*links.Link)) {
	l := w.links[name]
	l.Addrs = slices.Clone(l.Addrs)
	delete(w.links, name)
	change(&l)
	w.links[l.Name] = l
	w.core.SetLink(l, &w.eff)
	w.carryOut()
}

func (w *world) removeLink(name string) {
	delete(w.links, name)
	w.core.RemoveLink(name, &w.eff)
	w.carryOut()
}

// sleep moves both clocks, ticking at every deadline on the way.
func (w *world) sleep(d time.Duration) {
	end := w.now.Boot.After(d)
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

// carryOut does what the core wants. Where the kernel is not to know of leases, no message waits
// until something is kept: what it tells of is kept after it has left, and nothing is asked of
// the kernel. Nobody is probed.
func (w *world) carryOut() {
	for len(w.eff.Sends)+len(w.eff.Changes)+len(w.eff.Probes)+len(w.eff.Notes)+len(w.eff.Drops) > 0 {
		sends, changes := slices.Clone(w.eff.Sends), slices.Clone(w.eff.Changes)
		w.notes = append(w.notes, w.eff.Notes...)
		w.drops = append(w.drops, w.eff.Drops...)
		if len(w.eff.Probes) > 0 {
			w.Fatalf("the relay asks nobody, but wants %+v", w.eff.Probes)
		}
		w.eff.Reset()
		left := false // a message at once
		for _, s := range sends {
			switch {
			case s.After == 0:
				left = true
				w.send(s)
			case w.kernel == nil:
				w.Fatalf("%+v waits for a change", s)
			}
		}
		for _, c := range changes {
			if w.kernel == nil && (len(c.Host) > 0 || left && !c.Follows) {
				w.Fatalf("%+v", c)
			}
			w.keep(&c)
			w.kernel.install(c.Host)
			if len(c.Host) > 0 {
				w.order = append(w.order, "install")
			}
			for _, s := range sends {
				if s.After == c.ID && (w.keepErr == nil || s.Extends) {
					w.send(s)
				}
			}
			w.core.Settle(w.now, effect.Outcome{ID: c.ID, Keep: w.keepErr}, &w.eff)
		}
	}
}

func (w *world) send(s effect.Send) {
	s.Payload = slices.Clone(s.Payload)
	w.sent = append(w.sent, s)
	w.order = append(w.order, "send")
}

func (w *world) keep(c *effect.Change) {
	if len(c.Keep) > 0 {
		w.order = append(w.order, "keep")
	}
	for _, op := range c.Keep {
		switch {
		case w.keepErr != nil:
		case op.Value == nil:
			delete(w.store, string(op.Key))
		default:
			w.store[string(op.Key)] = slices.Clone(op.Value)
		}
	}
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
	mac  []byte
}

var (
	alice = client{lan0Index, []byte{2, 0, 0x5e, 0, 0x53, 0x0a}}
	bob   = client{lan0Index, []byte{2, 0, 0x5e, 0, 0x53, 0x0b}}
	carol = client{lan1Index, []byte{2, 0, 0x5e, 0, 0x53, 0x0c}}
)

// says is a client's message, broadcast, on its way in.
func (w *world) says(c client, payload []byte) []effect.Send {
	return w.packet(inbound.Packet{
		Link: c.link, Source: netip.MustParseAddrPort("0.0.0.0:68"), Dest: addr("255.255.255.255"),
		LinkLayer: linkaddr.From(c.mac), HardwareType: 1, Framed: true, Payload: payload,
	})
}

// relays is a message from a relay agent behind a link.
func (w *world) relays(link int, source string, payload []byte) []effect.Send {
	return w.packet(inbound.Packet{Link: link, Source: netip.AddrPortFrom(addr(source), 67), Dest: addr(lan0Addr), Payload: payload})
}

// serves is a datagram from the server.
func (w *world) serves(payload []byte) []effect.Send {
	return w.packet(inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(addr(serverAddr), 67), Dest: addr(localAddr), Payload: payload})
}

// asks is a message of a client that has to be forwarded, and how the server got it.
func (w *world) asks(c client, payload []byte) []byte {
	w.Helper()
	got := w.says(c, payload)
	if len(got) != 1 || !got[0].ToPeer {
		w.Fatalf("forwarded %+v, want one datagram (drops %v)", got, w.drops)
	}
	return got[0].Payload
}

// delivers is a reply that has to reach a link.
func (w *world) delivers(link int, reply []byte) effect.Send {
	w.Helper()
	got := w.serves(reply)
	if len(got) != 1 || got[0].ToPeer || got[0].Link != link {
		w.Fatalf("delivered %+v, want one datagram on link %d (drops %v)", got, link, w.drops)
	}
	return got[0]
}

// dropped has to be the reason, and nothing may have left.
func (w *world) dropped(what string, got []effect.Send, want effect.Drop) {
	w.Helper()
	if len(got) != 0 || len(w.drops) == 0 || w.drops[len(w.drops)-1].Reason != want {
		w.Errorf("%s: sent %d, drops %v, want %v", what, len(got), w.drops, want)
	}
	w.drops = nil
}

// counters are those of a link.
func (w *world) counters(name string) relay4.LinkCounters {
	for _, l := range w.core.Links() {
		if l.Name == name {
			return l.Counters
		}
	}
	w.Fatalf("there is no link %s", name)
	return relay4.LinkCounters{}
}

// message is a message as octets, built by the figures of RFC 2131 alone.
type message struct {
	op, htype, hlen, hops byte
	xid                   uint32
	secs, flags           uint16
	ci, yi, gi            string
	chaddr                []byte
	sname, file           []byte
	vend                  []byte // what follows the file field; nil: the cookie, options and the end
	options               []byte
	pads                  int // after the End option; -1: there is no End option
}

func (m message) bytes() []byte {
	b := []byte{m.op, m.htype, m.hlen, m.hops}
	b = binary.BigEndian.AppendUint32(b, m.xid)
	b = binary.BigEndian.AppendUint16(b, m.secs)
	b = binary.BigEndian.AppendUint16(b, m.flags)
	for _, a := range []string{m.ci, m.yi, "", m.gi} {
		if a == "" {
			a = "0.0.0.0"
		}
		b = append(b, addr(a).AsSlice()...)
	}
	for _, f := range []struct {
		value []byte
		n     int
	}{{m.chaddr, 16}, {m.sname, 64}, {m.file, 128}} {
		b = append(b, f.value...)
		b = append(b, make([]byte, f.n-len(f.value))...)
	}
	if m.vend != nil {
		return append(b, m.vend...)
	}
	b = append(append(b, 99, 130, 83, 99), m.options...)
	if m.pads < 0 {
		return b
	}
	return append(append(b, 255), make([]byte, m.pads)...)
}

const (
	typeDiscover = 1
	typeOffer    = 2
	typeRequest  = 3
	typeDecline  = 4
	typeACK      = 5
	typeNAK      = 6
	typeRelease  = 7
	typeInform   = 8
)

const xid = 0x0102_0304

// from is a message of a client: a DISCOVER if nothing else is said.
func from(c client, change ...func(*message)) []byte {
	m := message{op: 1, htype: 1, hlen: byte(len(c.mac)), xid: xid, chaddr: c.mac, options: option(53, typeDiscover)}
	m.options = append(m.options, option(12, []byte("host")...)...)
	m.pads = 60
	for _, f := range change {
		f(&m)
	}
	return m.bytes()
}

// ofType is a change of the message type; with adds options.
func ofType(t byte) func(*message) { return func(m *message) { m.options[2] = t } }

func with(options ...[]byte) func(*message) {
	return func(m *message) { m.options = append(m.options, bytes.Join(options, nil)...) }
}

// option is one option, or sub-option.
func option(code byte, payload ...byte) []byte {
	return append([]byte{code, byte(len(payload))}, payload...)
}

// agent is an option 82.
func agent(subOptions ...[]byte) []byte { return option(82, bytes.Join(subOptions, nil)...) }

// circuit is the sub-option of a circuit-id.
func circuit(id string) []byte { return option(1, []byte(id)...) }

// answer is what a server says to a message: it returns the header's fields that it must,
// and the option 82 as the last option if echo is set.
func answer(request []byte, t byte, echo bool, change ...func(*message)) []byte {
	m := message{
		op: 2, htype: request[1], hlen: request[2], xid: binary.BigEndian.Uint32(request[4:]), flags: binary.BigEndian.Uint16(request[10:]),
		ci: netip.AddrFrom4([4]byte(request[12:16])).String(), gi: netip.AddrFrom4([4]byte(request[24:28])).String(),
		yi: "10.0.0.77", chaddr: request[28:44], options: option(53, t), pads: 40,
	}
	m.options = append(m.options, option(54, addr(serverAddr).AsSlice()...)...)
	for _, f := range change {
		f(&m)
	}
	if echo {
		m.options = append(m.options, optionOf(request, 82)...)
	}
	return m.bytes()
}

// walk yields the whole options of the options field, with where each begins, and the End
// option last if it is there.
func walk(b []byte, yield func(at int, code byte, payload []byte) bool) {
	if len(b) < 240 || !bytes.Equal(b[236:240], []byte{99, 130, 83, 99}) {
		return
	}
	for at := 240; at < len(b); {
		switch {
		case b[at] == 0:
			at++
			continue
		case b[at] == 255:
			yield(at, 255, nil)
			return
		case at+1 == len(b):
			return
		}
		end := at + 2 + int(b[at+1])
		if end > len(b) || !yield(at, b[at], b[at+2:end]) {
			return
		}
		at = end
	}
}

// optionOf is the first option of a code, whole; nil if there is none.
func optionOf(b []byte, code byte) []byte {
	for at, c := range walkFrom(b) {
		if c == code && code != 255 {
			return b[at : at+2+int(b[at+1])]
		}
	}
	return nil
}

func walkFrom(b []byte) func(func(int, byte) bool) {
	return func(yield func(int, byte) bool) {
		walk(b, func(at int, code byte, _ []byte) bool { return yield(at, code) })
	}
}

// subOptions are the sub-options of the one option 82 that a message has, as the text of
// "code:octets" each.
func (w *world) subOptions(b []byte) map[byte]string {
	w.Helper()
	all := make(map[byte]string)
	n := 0
	walk(b, func(_ int, code byte, payload []byte) bool {
		if code != 82 {
			return true
		}
		n++
		for len(payload) > 0 {
			end := 2 + int(payload[1])
			if _, twice := all[payload[0]]; twice {
				w.Errorf("sub-option %d is there twice", payload[0])
			}
			all[payload[0]] = string(payload[2:end])
			payload = payload[end:]
		}
		return true
	})
	if n > 1 {
		w.Errorf("%d options 82 in %x", n, b)
	}
	return all
}

// forwarded is what a server has to get of a message: giaddr where it was zero, hops one
// more, and option 82 before the End option.
func forwarded(b []byte, giaddr string, option []byte) []byte {
	out := bytes.Clone(b)
	out[3]++
	if netip.AddrFrom4([4]byte(out[24:28])) == netip.IPv4Unspecified() {
		copy(out[24:], addr(giaddr).AsSlice())
	}
	at := len(out)
	for i, c := range walkFrom(b) {
		if c == 255 {
			at = i
		}
	}
	return slices.Insert(out, at, option...)
}

func (w *world) same(what string, got, want []byte) {
	w.Helper()
	if !bytes.Equal(got, want) {
		w.Errorf("%s:\n got  %x\n want %x", what, got, want)
	}
}

// Who datagrams are from.
var (
	up0     = netip.MustParseAddrPort(serverAddr + ":67")
	client0 = netip.MustParseAddrPort("10.0.0.77:68")
)

package relay4_test

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay4"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/linkaddr"
)

// twin is a slow and obvious witness of what happens to a relay. It remembers every message
// and every address, and says of each datagram that leaves whether it may.
type twin struct {
	*world
	asked []asked                        // every message of a client that went to servers
	had   map[string]map[netip.Addr]bool // the giaddrs that links have ever had, by name
	next  int                            // the index of the next interface
	given map[netip.Addr]twinLease       // the leases that clients were told of and that have not ended
}

// twinLease is a lease by the word of the ACK that has reached its client.
type twinLease struct {
	link, chaddr string
	until        instant.Instant
}

// asked is one message that went to a server.
type asked struct {
	at     instant.Instant
	from   string // the link
	index  int
	in, up []byte // as it came, and as it left
	added  bool   // with option 82 of ours
	told   bool   // its giaddr was not that of its link alone, so that the relay remembers it
}

// newTwin watches a world, which twinWorld has made.
func newTwin(w *world) *twin {
	return &twin{world: w, had: make(map[string]map[netip.Addr]bool), next: 100, given: make(map[netip.Addr]twinLease)}
}

// twinWorld has links with clients that come and go, of which lan3 is trusted, and has no
// circuit-id but the names of links.
func twinWorld(mode relay4.Insertion) func(*world) {
	return func(w *world) {
		w.cfg.Links[0].Borrow, w.cfg.Links[0].AgentInformation = "dum0", mode
		own := w.cfg.Links[0]
		own.Match, own.Trusted = []string{"lan3"}, true
		w.cfg.Links = append([]relay4.LinkRule{own}, w.cfg.Links...)
		w.links = map[string]links.Link{"up0": w.links["up0"], "dum0": w.links["dum0"]}
	}
}

// twinAddrs are what links may have: few, so that they collide. The last two are none.
var twinAddrs = []string{"10.0.0.1/24", "10.0.1.1/24", "10.0.1.2/24", lentAddr + "/32", "10.0.0.255/24", ""}

// set gives a link an address; one that is not there appears.
func (t *twin) set(name, address string) {
	l, ok := t.links[name]
	if !ok {
		t.next++
		l = links.Link{Index: t.next, Name: name, Up: true, Running: true, MTU: 1500, HardwareType: 1, LinkLayer: linkaddr.From([]byte{2, 0, 0, 0, 0, byte(t.next)})}
	}
	l.Addrs = nil
	if address != "" {
		l.Addrs = []netip.Prefix{cidr(address)}
	}
	t.links[name] = l
	t.core.SetLink(l, &t.eff)
	t.carryOut()
	t.remember()
}

// remove takes a link away.
func (t *twin) remove(name string) {
	if _, ok := t.links[name]; ok {
		t.removeLink(name)
	}
}

// remember takes in which giaddrs links have now.
func (t *twin) remember() {
	for _, name := range t.clientLinks() {
		if t.had[name] == nil {
			t.had[name] = make(map[netip.Addr]bool)
		}
		t.had[name][t.giaddrOf(name)] = true
		for _, p := range t.links[name].Addrs {
			t.had[name][p.Addr()] = true
		}
	}
}

func (t *twin) clientLinks() (names []string) {
	for name := range t.links {
		if name != "up0" && name != "dum0" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// giaddrOf is the giaddr of clients on a link: its address, or the lent one.
func (t *twin) giaddrOf(name string) netip.Addr {
	for _, from := range []string{name, "dum0"} {
		for _, p := range t.links[from].Addrs {
			if a := p.Addr(); a != addr("10.0.0.255") {
				return a
			}
		}
	}
	return netip.Addr{}
}

// named is the name of the link of an index.
func (t *twin) named(index int) string {
	for name, l := range t.links {
		if l.Index == index {
			return name
		}
	}
	return ""
}

// ask is a client's message on a link, and what must be true of what leaves.
func (t *twin) ask(name string, in []byte) {
	l, ok := t.links[name]
	if !ok {
		return
	}
	given := bytes.Clone(in)
	got := t.packet(inbound.Packet{Link: l.Index, Source: netip.MustParseAddrPort("0.0.0.0:68"), Dest: limited, LinkLayer: linkaddr.From([]byte{2, 0, 0, 0, 0, 1}), Payload: in})
	if !bytes.Equal(in, given) {
		t.Fatalf("the received octets were written to:\n was %x\n is  %x", given, in)
	}
	for _, s := range got {
		if !s.ToPeer || s.Link != 0 || s.Dest != netip.AddrPortFrom(addr(serverAddr), 67) || name == "up0" || name == "dum0" {
			t.Fatalf("from %s: sent %+v", name, s)
		}
		t.rightlyForwarded(name, in, s.Payload)
		own := slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == t.giaddrOf(name) })
		users, _ := t.users(t.giaddrOf(name))
		shared := !own || len(users) > 1 || mayGetLease(in) || name == "lan3" && t.cfg.Links[0].AgentInformation == relay4.Add
		t.asked = append(t.asked, asked{t.now.Boot, name, l.Index, given, s.Payload, len(s.Payload) > len(in), shared})
	}
}

var limited = addr("255.255.255.255")

// mayGetLease reports whether the answer to a message may give an address: then the relay
// remembers who has asked.
func mayGetLease(in []byte) bool {
	m, err := dhcp4.ParseMessage(in)
	if err != nil {
		return false
	}
	_, rapid := m.Options().First(dhcp4.OptionRapidCommit)
	return m.Type() == dhcp4.Request || m.Type() == dhcp4.Discover && rapid
}

// twinLeases are the addresses that the server gives: few, so that clients get each other's.
// The last is mostly one of this host.
var twinLeases = []netip.Addr{addr("10.0.0.70"), addr("10.0.1.70"), addr("10.0.0.71"), addr(lentAddr)}

// lease has a client on a link ask for an address, and the server give it, or refuse it.
func (t *twin) lease(name string, who, which, answers byte) {
	l, ok := t.links[name]
	a := twinLeases[int(which)%len(twinLeases)]
	mac := []byte{2, 0, 0, 0, 0, who % 2}
	if !ok || !t.giaddrOf(name).IsValid() {
		return
	}
	in := from(client{mac: mac}, ofType(typeRequest), wanting(a.String()), func(m *message) { m.xid = uint32(answers % 3) })
	up := t.says(client{l.Index, mac}, in)
	if len(up) != 1 {
		t.Fatalf("%s: forwarded %d, drops %v", name, len(up), t.drops)
	}
	t.asked = append(t.asked, asked{t.now.Boot, name, l.Index, in, up[0].Payload, len(up[0].Payload) > len(in), true})
	if answers%8 == 7 {
		t.refuses(up[0].Payload, true)
		return
	}
	lifetime := time.Duration(answers) * time.Second
	to := t.serve(answer(up[0].Payload, typeACK, true, given(a.String(), uint32(answers))))
	held, is := t.given[a]
	hers := is && held.link == to && held.chaddr == string(mac)
	switch {
	case to == "":
	case lifetime == 0:
		if hers {
			delete(t.given, a)
		}
	case !t.isOurs(a):
		if to == name { // it has one address there
			maps.DeleteFunc(t.given, func(other netip.Addr, g twinLease) bool { return other != a && g.link == to && g.chaddr == string(mac) })
		}
		t.given[a] = twinLease{to, string(mac), t.now.Boot.After(lifetime)}
	}
}

// refuses is a NAK of the server to what was asked before on whatever link: who has asked for an
// address on the link that the NAK goes to stops using that.
func (t *twin) refuses(up []byte, echo bool) {
	reply := answer(up, typeNAK, echo, func(m *message) { m.yi = "" })
	to := t.serve(reply)
	var last, asking *asked
	for i := range t.asked {
		a := &t.asked[i]
		if !a.told || !a.isAnsweredBy(reply) {
			continue
		}
		if last == nil || last.index != a.index || a.at >= last.at.After(time.Minute) {
			asking = nil
		}
		if last = a; mayGetLease(a.in) {
			asking = a
		}
	}
	if to == "" || asking == nil || last.index != t.links[to].Index || t.now.Boot >= last.at.After(time.Minute) {
		return
	}
	if o := optionOf(asking.in, 50); o != nil {
		a := netip.AddrFrom4([4]byte(o[2:]))
		if g := t.given[a]; g.link == to && g.chaddr == string(reply[28:34]) {
			delete(t.given, a)
		}
	}
}

// isAnsweredBy reports whether a reply is of the transaction of a client's own message.
func (a *asked) isAnsweredBy(reply []byte) bool {
	return bytes.Equal(a.up[4:8], reply[4:8]) && bytes.Equal(chaddr(a.up), chaddr(reply)) && bytes.Equal(a.up[24:28], reply[24:28]) && bytes.Equal(a.in[24:28], make([]byte, 4))
}

// isOurs reports whether an address is one of this host.
func (t *twin) isOurs(a netip.Addr) bool {
	for _, l := range t.links {
		if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return true
		}
	}
	return false
}

// giveBack has a client release an address, which may be another's.
func (t *twin) giveBack(name string, who, which, where byte) {
	l, ok := t.links[name]
	if !ok {
		return
	}
	a, mac := twinLeases[int(which)%len(twinLeases)], []byte{2, 0, 0, 0, 0, who % 2}
	sender := client{l.Index, []byte{2, 0, 0, 0, 0, where % 2}}
	kind, about := byte(typeRelease), using(a.String())
	if where&2 != 0 {
		kind, about = typeDecline, wanting(a.String())
	}
	source := "0.0.0.0"
	if kind == typeRelease && where&4 == 0 {
		source = a.String()
	}
	got := t.packet(inbound.Packet{
		Link: l.Index, Source: netip.AddrPortFrom(addr(source), 68), Dest: limited, LinkLayer: linkaddr.From(sender.mac), Framed: true,
		Payload: from(client{mac: mac}, ofType(kind), about),
	})
	if g, is := t.given[a]; is && len(got) > 0 && g.link == name && g.chaddr == string(mac) && string(sender.mac) == string(mac) && (kind == typeDecline || source == a.String()) {
		delete(t.given, a)
	}
}

// seen: what is on view is what clients were told and have not given back, until its time has
// come, and the store has the same.
func (t *twin) seen() {
	maps.DeleteFunc(t.given, func(_ netip.Addr, g twinLease) bool { return g.until <= t.now.Boot })
	n := 0
	for b := range t.core.Leases {
		n++
		a := b.Prefix.Addr()
		if g := t.given[a]; g.link != b.Link || g.chaddr != string(b.LinkLayer.Append(nil)) || g.until != b.Valid {
			t.Fatalf("on view %+v, want %+v", b, g)
		}
		if r, err := binding.ParseRecord(t.store[string(binding.Key(nil, binding.Relay4, b.VRF, b.Prefix))]); err != nil || r.Valid != b.Valid || r.Link != b.Link || r.Client != b.Client {
			t.Fatalf("kept %+v, %v; on view %+v", r, err, b)
		}
	}
	if n != len(t.given) {
		t.Fatalf("%d leases on view, want %v", n, t.given)
	}
	lo, hi := binding.KeyRange(binding.Relay4)
	for k := range t.store {
		if k >= string(lo) && k < string(hi) {
			n--
		}
	}
	if n != 0 {
		t.Fatalf("%d records too few", n)
	}
}

// rightlyForwarded: all is as it came, but for hops, giaddr where it was zero, and one option
// 82 of ours. A giaddr is an address of the link, or the lent one, and never a broadcast one.
func (t *twin) rightlyForwarded(name string, in, up []byte) {
	trusted := name == "lan3"
	want, was := t.giaddrOf(name), netip.AddrFrom4([4]byte(in[24:28]))
	broadcast := addr("10.0.0.255") // of the one subnet that has such a host
	if was != netip.IPv4Unspecified() {
		if want = was; !trusted {
			t.Fatalf("%s: a relayed message from an untrusted link", name)
		}
		if l := t.links[name]; !l.Covers(was) {
			broadcast = limited
		}
	}
	if got := netip.AddrFrom4([4]byte(up[24:28])); got != want || got == limited || got == broadcast || got.IsMulticast() {
		t.Fatalf("%s: giaddr %v, want %v", name, got, want)
	}
	ours := agent(circuit(name))
	back := bytes.Clone(up)
	if len(up) != len(in) {
		// The last option 82 is ours; nothing is between it and the End option.
		at := bytes.LastIndex(up, ours)
		for at >= 0 && !slices.Equal(slices.Delete(bytes.Clone(up), at, at+len(ours))[28:], in[28:]) {
			at = bytes.LastIndex(up[:at], ours)
		}
		if at < 240 {
			t.Fatalf("%s: sent %x for %x", name, up, in)
		}
		back = slices.Delete(back, at, at+len(ours))
	}
	back[3]--
	copy(back[24:28], in[24:28])
	if !bytes.Equal(back, in) {
		t.Fatalf("%s: sent %x for %x", name, up, in)
	}
	if !trusted && optionOf(in, 82) != nil {
		t.Fatalf("%s: an option 82 from an untrusted link: %x", name, in)
	}
}

// serve is a reply of the server, and what must be true of what leaves. It returns to which
// link it went; empty: to none.
func (t *twin) serve(reply []byte) string {
	given := bytes.Clone(reply)
	got := t.serves(reply)
	if !bytes.Equal(reply, given) {
		t.Fatalf("the received octets were written to:\n was %x\n is  %x", given, reply)
	}
	if len(got) == 0 {
		return ""
	}
	s := got[0]
	name := t.named(s.Link)
	if len(got) > 1 || s.ToPeer || s.Dest.Port() != 68 || !t.may(name, reply) {
		t.Fatalf("%x sent to %s: %+v", reply, name, s)
	}
	switch {
	case s.Dest.Addr() == limited && s.LinkLayer.String() == "ff:ff:ff:ff:ff:ff":
	case !s.Dest.Addr().IsMulticast() && s.LinkLayer == linkaddr.From(reply[28:34]):
	default:
		t.Fatalf("to %v, %v", s.Dest, s.LinkLayer)
	}
	if bare := withoutAgent(reply); !bytes.Equal(s.Payload, reply) && !bytes.Equal(s.Payload, bare) || name != "lan3" && !bytes.Equal(s.Payload, bare) {
		t.Fatalf("%s: delivered %x of %x", name, s.Payload, reply)
	}
	return name
}

// withoutAgent is a message without any option 82 in its options field.
func withoutAgent(b []byte) []byte {
	var out []byte
	from := 0
	for at, c := range walkFrom(b) {
		if c == 82 {
			out = append(out, b[from:at]...)
			from = at + 2 + int(b[at+1])
		}
	}
	return append(out, b[from:]...)
}

// may reports whether a reply may go to a link: it is one with clients that has, or has had,
// the giaddr, and something tells that it is this one and no other.
func (t *twin) may(name string, reply []byte) bool {
	giaddr := netip.AddrFrom4([4]byte(reply[24:28]))
	if !slices.Contains(t.clientLinks(), name) || !t.had[name][giaddr] {
		return false
	}
	users, foreign := t.users(giaddr)
	if id := circuitOf(reply); id == name && !foreign {
		return true
	}
	if last, others := t.began(reply); last != nil {
		return !others && last.from == name && last.index == t.links[name].Index
	}
	return slices.Equal(users, []string{name}) || len(users) == 0
}

// users are the links that use a giaddr, and whether one of them is trusted.
func (t *twin) users(giaddr netip.Addr) (names []string, foreign bool) {
	for _, name := range t.clientLinks() {
		if t.giaddrOf(name) == giaddr {
			names, foreign = append(names, name), foreign || name == "lan3"
		}
	}
	return names, foreign
}

// began is the last message of the last minute that a reply may answer, and whether one came
// on another interface as well.
func (t *twin) began(reply []byte) (last *asked, others bool) {
	for i := range t.asked {
		a := &t.asked[i]
		if !a.told || t.now.Boot >= a.at.After(time.Minute) || !a.isAnsweredBy(reply) {
			continue
		}
		others = others || last != nil && last.index != a.index
		last = a
	}
	return last, others
}

// chaddr is the hardware address of a message, with zeros behind it.
func chaddr(b []byte) []byte {
	return append(bytes.Clone(b[28:28+int(b[2])]), make([]byte, 16-b[2])...)
}

// circuitOf is the circuit-id of a message, empty if there is none.
func circuitOf(b []byte) string {
	var field []byte
	for at, c := range walkFrom(b) {
		if c == 82 {
			field = append(field, b[at+2:at+2+int(b[at+1])]...)
		}
	}
	id := ""
	for rest := field; len(rest) > 0; {
		if len(rest) < 2 || 2+int(rest[1]) > len(rest) {
			return ""
		}
		if rest[0] == 1 && id == "" {
			id = string(rest[2 : 2+int(rest[1])])
		}
		rest = rest[2+int(rest[1]):]
	}
	return id
}

// arrives: the reply to the message that was asked last has to reach its client, if nobody
// else has begun the same, and the link still is where it was. All but the option is as the
// server said.
func (t *twin) arrives(echo bool) {
	if len(t.asked) == 0 {
		return
	}
	a := t.asked[len(t.asked)-1]
	reply := answer(a.up, typeOffer, echo)
	name := t.serve(reply)
	relayed := !bytes.Equal(a.in[24:28], make([]byte, 4))
	if relayed || t.links[a.from].Index != a.index || !bytes.Equal(t.giaddrOf(a.from).AsSlice(), a.up[24:28]) {
		return
	}
	users, _ := t.users(t.giaddrOf(a.from))
	last, others := t.began(reply)
	if others || last == nil && len(users) > 1 || last != nil && last.index != a.index {
		return
	}
	if name != a.from {
		t.Fatalf("the reply to a message on %s, echo %v, went to %q, drops %v", a.from, echo, name, t.drops)
	}
	if last == nil && a.from == "lan3" {
		return // whose option it is can only be told by the circuit-id
	}
	want := reply
	if a.added {
		want = answer(a.up, typeOffer, false)
	}
	if got := t.sent[len(t.sent)-1].Payload; !bytes.Equal(got, want) {
		t.Fatalf("%s: delivered %x, want %x", name, got, want)
	}
}

// step does one thing, of a kind and with arguments that are any numbers.
func (t *twin) step(kind, a, b, c byte) {
	t.sent, t.drops, t.notes = t.sent[:0], t.drops[:0], t.notes[:0]
	name := "lan" + strconv.Itoa(int(a%4))
	switch kind % 11 {
	case 8, 9:
		t.lease(name, a>>2, b, c)
	case 10:
		t.giveBack(name, a>>2, b, c)
	case 0, 1, 2:
		change := []func(*message){func(m *message) {
			m.xid, m.chaddr, m.flags = uint32(b%3), []byte{2, 0, 0, 0, 0, c % 2}, uint16(c&0x80)<<8
		}}
		if c&4 != 0 && c&8 != 0 {
			change = append(change, with(agent(circuit("lan"+strconv.Itoa(int(b%4))))))
		}
		if c&0x70 == 0x70 {
			change = append(change, giaddr(netip.MustParsePrefix(twinAddrs[b%5]).Addr().String()))
		}
		t.ask(name, from(client{mac: make([]byte, 6)}, change...))
	case 3:
		t.arrives(c&1 != 0)
	case 4:
		if len(t.asked) > 0 { // an old one
			if up := t.asked[int(b)%len(t.asked)].up; a%3 == 2 {
				t.refuses(up, c&1 != 0)
			} else {
				t.serve(answer(up, []byte{typeOffer, typeACK}[a%3], c&1 != 0))
			}
		}
	case 5:
		if a&16 != 0 {
			name = "dum0"
		}
		t.set(name, twinAddrs[int(b)%len(twinAddrs)])
	case 6:
		if t.remove(name); c&1 != 0 {
			t.set(name, twinAddrs[int(b)%len(twinAddrs)])
		}
	case 7:
		t.sleep(time.Duration(c) * 400 * time.Millisecond)
	}
	t.core.Tick(t.now, &t.eff)
	t.carryOut()
	t.seen()
}

// forget forgets the messages that no reply answers any more.
func (t *twin) forget() {
	t.asked = slices.DeleteFunc(t.asked, func(a asked) bool { return t.now.Boot >= a.at.After(time.Minute) })
}

// feed hands in any octets, from a link and from the server.
func (t *twin) feed(payload []byte) {
	for _, name := range []string{"lan0", "lan3", "up0", "dum0"} {
		t.ask(name, payload)
	}
	if len(payload) >= 240 && int(payload[2]) <= 16 {
		t.serve(payload)
	} else if got := t.serves(payload); len(got) > 0 {
		t.Fatalf("%x was delivered: %+v", payload, got)
	}
}

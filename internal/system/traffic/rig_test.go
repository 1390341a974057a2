package traffic_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// patience is for conditions that a slow machine may take long to reach.
const patience = labtest.Patience

func TestMain(m *testing.M) { labtest.Main(m) }

// What every test says often.
var (
	need     = labtest.Need
	until    = labtest.Until
	parallel = labtest.Parallel
	passed   = labtest.Passed
	duid     = labtest.DUID
)

// rig is a network with a fairlead in its relay node and a server of the
// laboratory that grants what its book says.
type rig struct {
	*lab.Topology
	*labtest.Kernel
	t      *testing.T
	relay  *relay.Relay
	server *script.Server
	book   *book

	clients map[int]*script.Client
}

// build makes a rig whose relay has the standard configuration with link keys
// added ("filter: strict"). Nothing runs yet but the server.
func build(t *testing.T, plan lab.Plan, linkKeys ...string) *rig {
	t.Helper()
	top, err := lab.ForTest(t).Topology(plan)
	need(t, err)
	return buildOn(t, top, standard(top, linkKeys...))
}

// standard is the standard configuration with link keys added.
func standard(top *lab.Topology, linkKeys ...string) string {
	text := relay.Standard(top)
	for _, k := range linkKeys {
		text += "      " + k + "\n"
	}
	return text
}

// buildOn is build on a topology, with a whole configuration.
func buildOn(t *testing.T, top *lab.Topology, text string) *rig {
	t.Helper()
	r, err := relay.New(top.Relay, relay.Config{Binary: labtest.Program(), Text: "metrics:\n  listen: off\n" + text})
	need(t, err)
	b := &book{grants: map[page][]dhcp6.IAPrefix{}}
	server, err := script.StartServer(top.Server, lab.ServerAddress, b.answers().Answer)
	need(t, err)
	return &rig{Topology: top, Kernel: labtest.KernelOf(t, top.Relay), t: t, relay: r, server: server, book: b}
}

// start is build, and the relay started.
func start(t *testing.T, plan lab.Plan, linkKeys ...string) *rig {
	t.Helper()
	r := build(t, plan, linkKeys...)
	need(t, r.relay.Start())
	return r
}

// startWithKea is start with Kea as the server, and nothing out of the ordinary.
func startWithKea(t *testing.T, clients int) *rig {
	t.Helper()
	r := build(t, lab.Plan{Clients: clients})
	need(t, r.server.Close())
	_, err := peer.StartServer(r.Server, peer.Kea, peer.ServerConfig{Timers: peer.LongTimers})
	need(t, err)
	need(t, r.relay.Start())
	return r
}

// book is what the server grants.
type book struct {
	mu     sync.Mutex
	grants map[page][]dhcp6.IAPrefix
}

// page names an IA_PD: on one link by its link-address, or, without, on all.
type page struct {
	link netip.Addr
	iaid uint32
}

// answers is the server's behaviour.
func (b *book) answers() script.Grants {
	return script.Grants{T1: 1000, T2: 1600, Prefixes: func(r script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(r.Relays) > 0 {
			if own, ok := b.grants[page{r.Relays[len(r.Relays)-1].LinkAddress(), ia.IAID}]; ok {
				return own
			}
		}
		return b.grants[page{iaid: ia.IAID}]
	}}
}

// grant has the server give these prefixes to an IA_PD from now on.
func (r *rig) grant(iaid uint32, prefixes ...dhcp6.IAPrefix) {
	r.grantOn(netip.Addr{}, iaid, prefixes...)
}

// grantOn is grant for the link with that link-address alone.
func (r *rig) grantOn(link netip.Addr, iaid uint32, prefixes ...dhcp6.IAPrefix) {
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	r.book.grants[page{link, iaid}] = prefixes
}

// pfx is a prefix.
func pfx(format string, args ...any) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf(format, args...))
}

// long is a prefix with lifetimes that outlast every test.
func long(p netip.Prefix) dhcp6.IAPrefix {
	return dhcp6.IAPrefix{Prefix: p, Preferred: 2000, Valid: 3000}
}

// lasting is a prefix with a valid lifetime in seconds.
func lasting(p netip.Prefix, valid dhcp6.Lifetime) dhcp6.IAPrefix {
	return dhcp6.IAPrefix{Prefix: p, Preferred: valid, Valid: valid}
}

// untilSeen shows something about lifetimes on a machine that may be too slow to see it: it is
// shown again, with lifetimes twice as long, until it was seen. Each round has a prefix
// that none before it has used.
func untilSeen(t *testing.T, seconds dhcp6.Lifetime, show func(within netip.Prefix, valid dhcp6.Lifetime) (seen bool)) {
	t.Helper()
	for round := 0; !show(pfx("2001:db8:11%02x::/48", round), seconds); round++ {
		if round == 7 || t.Failed() {
			t.Fatalf("not seen with lifetimes of %d s either", seconds)
		}
		seconds *= 2
	}
}

// part is a /56 of a /48.
func part(of netip.Prefix, number byte) netip.Prefix {
	a := of.Addr().As16()
	a[6] = number
	return netip.PrefixFrom(netip.AddrFrom16(a), 56)
}

// lives reports whether a lifetime that began later than that has certainly not elapsed.
func lives(since time.Time, valid dhcp6.Lifetime) bool {
	return time.Since(since) < time.Duration(valid)*time.Second
}

// ends waits until a prefix that was given for so many seconds is not routed.
func (r *rig) ends(p netip.Prefix, valid dhcp6.Lifetime) {
	r.t.Helper()
	need(r.t, lab.Until(time.Duration(valid)*time.Second+patience, p.String()+" is not routed", func() bool { return len(r.RouteOf(p)) == 0 }))
}

// client starts a client in the client node with that number.
func (r *rig) client(number int) *script.Client {
	r.t.Helper()
	return r.clientAs(number, script.ClientConfig{DUID: duid(number)})
}

// clientAs is client with a configuration of its own.
func (r *rig) clientAs(number int, c script.ClientConfig) *script.Client {
	r.t.Helper()
	return labtest.Client(r.t, r.Client(number), c)
}

// obtain has a client go through the four messages for some IA_PDs.
func (r *rig) obtain(c *script.Client, iaids ...uint32) dhcp6.Message {
	r.t.Helper()
	reply, err := c.Obtain(patience, iaids...)
	need(r.t, err)
	return reply
}

// delegate grants a prefix for IAID 1, 2 and so on to the client of that
// number, and has the client ask for it.
func (r *rig) delegate(number int, p netip.Prefix) (*script.Client, dhcp6.Message) {
	r.t.Helper()
	r.grant(uint32(number), long(p))
	c := r.client(number)
	return c, r.obtain(c, uint32(number))
}

// renew has a client renew what a Reply gave.
func (r *rig) renew(c *script.Client, reply dhcp6.Message) dhcp6.Message {
	r.t.Helper()
	got, err := c.Renew(patience, reply)
	need(r.t, err)
	return got
}

// fence is what settled delegates.
var fence = pfx("2001:db8:1f00::/56")

// expires has a client renew a prefix for a second, among others that stay, and waits
// until it has ended. How long it lasted before does not matter.
func (r *rig) expires(c *script.Client, reply dhcp6.Message, iaid uint32, p netip.Prefix, stay ...netip.Prefix) {
	r.t.Helper()
	list := []dhcp6.IAPrefix{lasting(p, 1)}
	for _, s := range stay {
		list = append(list, long(s))
	}
	r.grant(iaid, list...)
	r.renew(c, reply)
	r.ended(p)
	r.grant(iaid, list[1:]...)
}

// settled waits until the kernel has all that was decided so far: changes are
// installed in their order, and a Reply that grants waits for its own.
func (r *rig) settled(c *script.Client) {
	r.t.Helper()
	r.grant(240, long(fence))
	r.obtain(c, 240)
}

// ended waits until the kernel has neither route nor filter element of a prefix. The
// one goes after the other.
func (r *rig) ended(p netip.Prefix) {
	r.t.Helper()
	r.WantNoRoute(p)
	until(r.t, fmt.Sprintf("the filter has let go of %s", p), func() bool { return len(r.Permitted(`"`+p.Addr().String()+`"`)) == 0 })
}

// heard are the messages of a transaction that the server has received.
func (r *rig) heard(message []byte) (found []script.Request) {
	for _, q := range r.server.Received() {
		if len(q.Inner) >= 4 && string(q.Inner[:4]) == string(message[:4]) {
			found = append(found, q)
		}
	}
	return found
}

// clientOnce is client, or the one that it started before.
func (r *rig) clientOnce(number int) *script.Client {
	r.t.Helper()
	if r.clients[number] == nil {
		if r.clients == nil {
			r.clients = map[int]*script.Client{}
		}
		r.clients[number] = r.client(number)
	}
	return r.clients[number]
}

// throw prepares packets from a client's c0 towards the relay.
func (r *rig) throw(client int) *labtest.Thrower {
	r.t.Helper()
	to, err := r.Relay.Interface(r.Downlink(client))
	need(r.t, err)
	peer := to.HardwareAddr
	if r.Plan.Access == lab.PPP {
		peer = nil
	}
	return labtest.Throw(r.t, r.Client(client), "c0", peer)
}

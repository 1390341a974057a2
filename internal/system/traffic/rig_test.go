package traffic_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

func TestMain(m *testing.M) { rig.Main(m) }

// network is a rig whose server grants what the test says.
type network struct {
	*rig.Rig
	said    *said
	clients map[int]*rig.Client
}

// build makes a network whose relay has the standard configuration with link keys
// added ("filter: strict"). Nothing runs yet but the server. The test runs beside one
// other.
func build(t *testing.T, plan lab.Plan, linkKeys ...string) *network {
	t.Helper()
	labtest.Parallel(t)
	r := &network{Rig: rig.Build(t, plan), said: &said{grants: map[page][]dhcp6.IAPrefix{}}}
	r.Prepare(r.Standard(linkKeys...))
	r.Answers(r.said.answers().Answer)
	return r
}

// start is build, and the relay started.
func start(t *testing.T, plan lab.Plan, linkKeys ...string) *network {
	t.Helper()
	r := build(t, plan, linkKeys...)
	r.Fairlead.Start()
	return r
}

// startWithKea is start with Kea as the server, and nothing out of the ordinary.
func startWithKea(t *testing.T, clients int) *network {
	t.Helper()
	r := build(t, lab.Plan{Clients: clients})
	r.Played.Close()
	r.Kea()
	r.Fairlead.Start()
	return r
}

// said is what the server was told to grant.
type said struct {
	mu     sync.Mutex // guards grants
	grants map[page][]dhcp6.IAPrefix
}

// page names an IA_PD: on one link by its link-address, or, without, on all.
type page struct {
	link netip.Addr
	iaid uint32
}

// answers is the server's behaviour.
func (s *said) answers() script.Grants {
	return rig.Grants(func(r script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(r.Relays) > 0 {
			if own, ok := s.grants[page{r.Relays[len(r.Relays)-1].LinkAddress(), ia.IAID}]; ok {
				return own
			}
		}
		return s.grants[page{iaid: ia.IAID}]
	})
}

// grant has the server give these prefixes to an IA_PD from now on.
func (r *network) grant(iaid uint32, prefixes ...dhcp6.IAPrefix) {
	r.grantOn(netip.Addr{}, iaid, prefixes...)
}

// grantOn is grant for the link with that link-address alone.
func (r *network) grantOn(link netip.Addr, iaid uint32, prefixes ...dhcp6.IAPrefix) {
	r.said.mu.Lock()
	defer r.said.mu.Unlock()
	r.said.grants[page{link, iaid}] = prefixes
}

// pfx is a prefix.
func pfx(format string, args ...any) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf(format, args...))
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
func (r *network) ends(p netip.Prefix, valid dhcp6.Lifetime) {
	r.T.Helper()
	r.Need(lab.Until(time.Duration(valid)*time.Second+labtest.Patience, p.String()+" is not routed", func() bool { return len(r.RouteOf(p)) == 0 }))
}

// client starts a client in the client node with that number.
func (r *network) client(number int) *rig.Client {
	r.T.Helper()
	return r.Play(number, rig.DUID(number))
}

// clientOnce is client, or the one that it started before.
func (r *network) clientOnce(number int) *rig.Client {
	r.T.Helper()
	if r.clients[number] == nil {
		if r.clients == nil {
			r.clients = map[int]*rig.Client{}
		}
		r.clients[number] = r.client(number)
	}
	return r.clients[number]
}

// delegate grants a prefix for IAID 1, 2 and so on to the client of that
// number, and has the client ask for it.
func (r *network) delegate(number int, p netip.Prefix) (*rig.Client, dhcp6.Message) {
	r.T.Helper()
	r.grant(uint32(number), rig.Long(p))
	c := r.client(number)
	return c, c.Obtain(uint32(number))
}

// fence is the prefix that installed delegates.
var fence = pfx("2001:db8:1f00::/56")

// expires has a client renew a prefix for a second, among others that stay, and waits
// until it has ended. How long it lasted before does not matter.
func (r *network) expires(c *rig.Client, reply dhcp6.Message, iaid uint32, p netip.Prefix, stay ...netip.Prefix) {
	r.T.Helper()
	list := []dhcp6.IAPrefix{lasting(p, 1)}
	for _, s := range stay {
		list = append(list, rig.Long(s))
	}
	r.grant(iaid, list...)
	c.Renew(reply)
	r.ended(p)
	r.grant(iaid, list[1:]...)
}

// installed waits until all Changes so far are in the kernel. It obtains one more prefix: Changes
// are installed in their order, and the Reply waits until its own Change is installed.
func (r *network) installed(c *rig.Client) {
	r.T.Helper()
	r.grant(240, rig.Long(fence))
	c.Obtain(240)
}

// ended waits until the kernel has neither route nor filter element of a prefix. The
// one goes after the other.
func (r *network) ended(p netip.Prefix) {
	r.T.Helper()
	r.WantNoRoute(p)
	r.Until(fmt.Sprintf("the filter has let go of %s", p), func() bool { return len(r.Permitted(`"`+p.Addr().String()+`"`)) == 0 })
}

// throw prepares packets from a client's c0 towards the relay.
func (r *network) throw(client int) *labtest.Thrower {
	r.T.Helper()
	return r.Client(client).Throw("c0", r.Relay, r.Downlink(client))
}

package trouble_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
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
	duid     = labtest.DUID
)

// plan says what a rig is made of, beside the clients, which have a cable each.
type plan struct {
	clients int
	top     string   // keys of the configuration's top
	links   []string // keys of its only link entry
	env     []string
	program string // instead of the program under test
}

// rig is a network with a fairlead in its relay node and a server of the
// laboratory that gives every identity association a prefix of its own.
type rig struct {
	*lab.Topology
	t      *testing.T
	plan   plan
	relay  *relay.Relay
	server *script.Server
	book   *book
}

// build makes a rig. Nothing runs yet but the server.
func build(t *testing.T, p plan) *rig {
	t.Helper()
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: p.clients})
	need(t, err)
	if p.program == "" {
		p.program = labtest.Program()
	}
	r := &rig{Topology: top, t: t, plan: p, book: &book{prefixes: map[string]netip.Prefix{}}}
	r.relay, err = relay.New(top.Relay, relay.Config{Binary: p.program, Text: r.config(p.links...), Env: p.env})
	need(t, err)
	r.server, err = script.StartServer(top.Server, lab.ServerAddress, r.book.answers().Answer)
	need(t, err)
	return r
}

// start is build, and the relay started.
func start(t *testing.T, p plan) *rig {
	t.Helper()
	r := build(t, p)
	need(t, r.relay.Start())
	return r
}

// config is the configuration with these keys of the link entry. One host stands
// for a crowd, and may send like one.
func (r *rig) config(links ...string) string {
	text := r.plan.top
	if !strings.Contains(text, "metrics:") {
		text += "metrics:\n  listen: off\n"
	}
	text += relay.Standard(r.Topology) + "      rate: {link: unlimited, source: unlimited}\n"
	for _, k := range links {
		text += "      " + k + "\n"
	}
	return text
}

// book is what the server has granted.
type book struct {
	mu       sync.Mutex
	prefixes map[string]netip.Prefix
}

// prefix is what a client's identity association gets, now and ever.
func (b *book) prefix(client dhcp6.DUID, iaid uint32) netip.Prefix {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := fmt.Sprintf("%x/%d", client, iaid)
	p, ok := b.prefixes[key]
	if !ok {
		a := lab.Delegable(1).Addr().As16()
		a[5], a[6] = byte(len(b.prefixes)>>8), byte(len(b.prefixes))
		p = netip.PrefixFrom(netip.AddrFrom16(a), 56)
		b.prefixes[key] = p
	}
	return p
}

// granted is how many prefixes were given out.
func (b *book) granted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.prefixes)
}

// validity is a valid lifetime that tells prefixes apart.
func validity(p netip.Prefix) dhcp6.Lifetime {
	a := p.Addr().As16()
	return dhcp6.Lifetime(20000 + int(a[5])<<8 + int(a[6]))
}

func (b *book) answers() script.Grants {
	return script.Grants{T1: 1000, T2: 1600, Prefixes: func(r script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
		client, _ := r.Message.ClientID()
		p := b.prefix(client, ia.IAID)
		return []dhcp6.IAPrefix{{Prefix: p, Preferred: 2000, Valid: validity(p)}}
	}}
}

// client opens the socket of the client on a link, with an identifier.
func (r *rig) client(link int, id dhcp6.DUID) *script.Client {
	r.t.Helper()
	return labtest.Client(r.t, r.Client(link), script.ClientConfig{DUID: id})
}

// obtain gets a prefix for each identity association.
func (r *rig) obtain(c *script.Client, iaids ...uint32) dhcp6.Message {
	r.t.Helper()
	reply, err := c.Obtain(patience, iaids...)
	need(r.t, err)
	if got := len(script.Delegations(reply)); got != len(iaids) {
		r.t.Fatalf("the Reply has %d prefixes, want %d", got, len(iaids))
	}
	return reply
}

// request is a Request with one IA_PD, to the laboratory's server.
func request(c *script.Client, iaid uint32) []byte {
	return c.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(iaid))
}

// unreachable begins the line of such a route, which ip writes as a number where it
// is asked for numbers.
const unreachable = "7 "

// routes are the relay's routes with our protocol number, by prefix, as ip
// prints what follows the prefix.
func (r *rig) routes() map[netip.Prefix]string {
	r.t.Helper()
	out, err := r.Relay.IP("-N -6 route show table all proto 87")
	need(r.t, err)
	all := map[netip.Prefix]string{}
	for line := range strings.Lines(out) {
		line = strings.TrimPrefix(line, unreachable)
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		p, err := netip.ParsePrefix(word)
		need(r.t, err)
		all[p] = rest
	}
	return all
}

// way is how a route to the client on a link begins.
func (r *rig) way(link int) string {
	r.t.Helper()
	next, err := r.Client(link).LinkLocal("c0")
	need(r.t, err)
	return "via " + next.String() + " dev " + r.Downlink(link) + " "
}

// routed waits until the relay's kernel sends a prefix to the client on a link.
func (r *rig) routed(p netip.Prefix, link int) {
	r.t.Helper()
	way := r.way(link)
	until(r.t, "the relay routes "+p.String()+" "+way, func() bool { return strings.HasPrefix(r.routes()[p], way) })
}

// status is what the test reads of the relay's own view.
type status struct {
	Clock struct {
		Synchronised   bool
		State          string
		MaxErrorMicros int64 `json:"max_error_micros"`
	}
	Config struct {
		LastError string `json:"last_error"`
	}
	Store struct {
		Healthy           bool
		Full              bool
		RecordsSetAside   uint64   `json:"records_set_aside"`
		DatabasesSetAside []string `json:"databases_set_aside"`
		LastError         string   `json:"last_error"`
	}
	Host struct {
		Routes       int
		Elements     int
		Refused      int
		LastAudit    time.Time `json:"last_audit"`
		LastFindings int       `json:"last_findings"`
	}
	Totals struct {
		Prefixes      int
		Pending       int
		Unkept        int
		KeepFailed    uint64 `json:"keep_failed"`
		InstallFailed uint64 `json:"install_failed"`
	}
	Unmatched []struct {
		Link     string
		Prefixes int
	}
	Degraded []string
}

// status asks the relay how it is.
func (r *rig) status() status {
	r.t.Helper()
	var s status
	labtest.Ask(r.t, r.relay, "/v1/status", &s)
	return s
}

// logged waits until the relay's log has a line with all words.
func (r *rig) logged(words ...string) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("a line of the log has all of %q", words), func() bool { return r.lines(words...) > 0 })
}

// lines counts the log's lines with all words.
func (r *rig) lines(words ...string) int {
	count := 0
next:
	for line := range strings.Lines(r.relay.Proc().Log()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		count++
	}
	return count
}

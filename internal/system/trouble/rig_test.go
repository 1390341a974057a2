package trouble_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

func TestMain(m *testing.M) { rig.Main(m) }

// need is for what has no rig.
var need = labtest.Need

// plan says what a network is made of, beside the clients, which have a cable each.
type plan struct {
	clients int
	top     string   // keys of the configuration's top
	links   []string // keys of its only link entry
	env     []string
	program string // instead of the program under test
}

// network is a rig whose server gives every identity association a prefix of its own.
type network struct {
	*rig.Rig
	plan plan
	book rig.Book
}

// build makes a network. Nothing runs yet but the server. The test runs beside one other.
func build(t *testing.T, p plan) *network {
	t.Helper()
	labtest.Parallel(t)
	r := &network{Rig: rig.Build(t, lab.Plan{Clients: p.clients}), plan: p}
	r.Fairlead = r.Relay.Fairlead(relay.Config{Binary: p.program, Text: r.config(p.links...), Env: p.env})
	r.Answers(r.book.Grants().Answer)
	return r
}

// start is build, and the relay started.
func start(t *testing.T, p plan) *network {
	t.Helper()
	r := build(t, p)
	r.Fairlead.Start()
	return r
}

// config is the configuration with these keys of the link entry. One host stands
// for a crowd, and may send like one.
func (r *network) config(links ...string) string {
	text := r.Standard(append([]string{"rate: {link: unlimited, source: unlimited}"}, links...)...)
	if strings.Contains(r.plan.top, "metrics:") {
		text = strings.TrimPrefix(text, rig.NoMetrics)
	}
	return r.plan.top + text
}

// obtain gets a prefix for each identity association.
func (r *network) obtain(c *rig.Client, iaids ...uint32) dhcp6.Message {
	r.T.Helper()
	reply := c.Obtain(iaids...)
	if got := len(script.Delegations(reply)); got != len(iaids) {
		r.T.Fatalf("the Reply has %d prefixes, want %d", got, len(iaids))
	}
	return reply
}

// request is a Request with one IA_PD, to the laboratory's server.
func request(c *rig.Client, iaid uint32) []byte {
	return c.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(iaid))
}

// unreachable begins the line of such a route, which ip writes as a number where it
// is asked for numbers.
const unreachable = "7 "

// routes are the relay's routes with our protocol number, by prefix, as ip
// prints what follows the prefix.
func (r *network) routes() map[netip.Prefix]string {
	r.T.Helper()
	out := r.Relay.IP("-N -6 route show table all proto 87")
	all := map[netip.Prefix]string{}
	for line := range strings.Lines(out) {
		line = strings.TrimPrefix(line, unreachable)
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		p, err := netip.ParsePrefix(word)
		r.Need(err)
		all[p] = rest
	}
	return all
}

// way is how a route to the client on a link begins.
func (r *network) way(link int) string {
	r.T.Helper()
	return "via " + r.Client(link).LinkLocal("c0").String() + " dev " + r.Downlink(link) + " "
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
		Routes         int
		Elements       int
		Refused        int
		LastComparison time.Time `json:"last_comparison"`
		LastFindings   int       `json:"last_findings"`
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
func (r *network) status() status {
	r.T.Helper()
	var s status
	r.Fairlead.Ask("/v1/status", &s)
	return s
}

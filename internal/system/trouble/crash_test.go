package trouble_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// crowd is many clients behind one link, and what they were told.
type crowd struct {
	link   int
	socket *rig.Client
	next   int // number of the next client
	told   map[netip.Prefix]dhcp6.Lifetime
}

// quiet is how long nothing comes before a crowd goes on, or believes that
// nothing is on its way any more.
const quiet = 50 * time.Millisecond

// ask has further clients ask, until stop is closed, and then listens until
// nothing comes any more.
func (c *crowd) ask(stop <-chan struct{}, told func()) error {
	for {
		select {
		case <-stop:
			c.listen(1<<16, told)
			return nil
		default:
		}
		const burst = 8
		for range burst {
			c.socket.Config.DUID = rig.DUID(c.link<<12 + c.next)
			c.next++
			if err := c.socket.Client.Send(request(c.socket, 1)); err != nil {
				return err
			}
		}
		c.listen(burst, told)
	}
}

// listen records that many Replies, or fewer if nothing comes any more.
func (c *crowd) listen(most int, told func()) {
	for range most {
		p, err := c.socket.Client.Receive(quiet)
		if err != nil {
			return
		}
		m, err := dhcp6.ParseMessage(p.Data)
		if err != nil || m.Type() != dhcp6.Reply {
			continue
		}
		for _, d := range script.Delegations(m) {
			c.told[d.Prefix] = d.Valid
		}
		told()
	}
}

// load has all crowds ask until they have been told so many more things, then
// ends the relay and waits until all have listened to the end.
func (r *network) load(crowds []*crowd, replies int, end func()) {
	r.T.Helper()
	var (
		mu   sync.Mutex
		left = replies
		full = make(chan struct{})
		stop = make(chan struct{})
		done = make(chan error, len(crowds))
	)
	told := func() {
		mu.Lock()
		defer mu.Unlock()
		if left--; left == 0 {
			close(full)
		}
	}
	for _, c := range crowds {
		go func() { done <- c.ask(stop, told) }()
	}
	select {
	case <-full:
	case <-time.After(labtest.Patience):
		r.T.Error("the crowds were not told enough in time")
	}
	end()
	close(stop)
	for range crowds {
		r.Need(<-done)
	}
}

// lease is what the test reads of a delegation.
type lease struct {
	Prefix   netip.Prefix
	Link     string
	Lifetime string
	Source   string
}

func (r *network) delegations() map[netip.Prefix]lease {
	r.T.Helper()
	var raw []struct {
		lease
		Lifetime json.RawMessage
	}
	r.Fairlead.Ask("/v1/delegations", &raw)
	all := map[netip.Prefix]lease{}
	for _, d := range raw {
		d.lease.Lifetime = string(d.Lifetime)
		all[d.Prefix] = d.lease
	}
	return all
}

// TestRFC8987_S1_KilledUnderLoad ends the relay, mostly with SIGKILL, again and again,
// while three crowds of clients ask it for prefixes, and takes its routes and
// filters away. When it is back, and before any client speaks again, every prefix
// that a client was told of is routed to that client and known with its lifetime.
// (RFC 8987 section 4.3, S-1.)
func TestRFC8987_S1_KilledUnderLoad(t *testing.T) {
	killedUnderLoad(t, 32)
}

// Where there are cores for it, what is received and what is sent are handed from
// one goroutine to another. Nothing is lost or overtaken by that.
func TestKilledUnderLoadWithManyCores(t *testing.T) {
	killedUnderLoad(t, 8, "GOMAXPROCS=4")
}

func killedUnderLoad(t *testing.T, rounds int, env ...string) {
	t.Helper()
	const seed = 8987
	random := rand.New(rand.NewPCG(seed, 1))
	r := build(t, plan{clients: 3, links: []string{"limits: {link: 65000, per-mac: none}"}, env: env})
	var crowds []*crowd
	for link := 1; link <= 3; link++ {
		crowds = append(crowds, &crowd{link: link, socket: r.Play(link, nil), told: map[netip.Prefix]dhcp6.Lifetime{}})
	}
	for round := range rounds {
		r.Fairlead.Start()
		r.intact(crowds)
		if t.Failed() {
			t.Fatalf("in round %d of seed %d", round, seed)
		}
		end := r.Fairlead.Kill
		if round%4 == 3 { // what was decided is finished
			end = r.Fairlead.Stop
		}
		r.load(crowds, 1+random.IntN(60), end)
		if round%2 == 0 {
			r.Relay.IP("-6 route flush table all proto 87")
			r.Relay.Run("nft", "delete", "table", "inet", "fairlead")
			if left := r.routes(); len(left) != 0 {
				t.Fatalf("%d routes are left after the flush", len(left))
			}
		}
	}
	r.Fairlead.Start()
	r.intact(crowds)
	total := 0
	for _, c := range crowds {
		total += len(c.told)
	}
	t.Logf("%d ends, %d prefixes told, %d granted by the server", rounds, total, r.book.Len())
	if total < rounds {
		t.Errorf("the clients were told of %d prefixes, which proves nothing", total)
	}
}

// intact fails the test if anything that a client was told is not there.
func (r *network) intact(crowds []*crowd) {
	r.T.Helper()
	routes, leases := r.routes(), r.delegations()
	for _, c := range crowds {
		way := r.way(c.link)
		for p, valid := range c.told {
			if valid != r.book.Valid(p) {
				r.T.Errorf("%s was told with a lifetime of %d, want %d", p, valid, r.book.Valid(p))
			}
			if got := routes[p]; !strings.HasPrefix(got, way) {
				r.T.Errorf("told %s, routed %q, want %q", p, got, way)
			}
			want := lease{Prefix: p, Link: r.Downlink(c.link), Source: "store", Lifetime: lifetime(valid)}
			if got := leases[p]; got != want {
				r.T.Errorf("told %s, kept %+v, want %+v", p, got, want)
			}
		}
	}
}

// lifetime is how the relay prints one.
func lifetime(l dhcp6.Lifetime) string { return strconv.FormatUint(uint64(l), 10) }

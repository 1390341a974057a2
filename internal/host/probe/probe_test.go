package probe_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/host/probe"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/wire/linkaddr"
)

// pair is two nodes on one link.
type pair struct{ here, there *lab.Node }

func newPair(t *testing.T, join func(n *lab.Net, p pair) error) pair {
	t.Helper()
	n := lab.ForTest(t)
	var p pair
	for name, node := range map[string]**lab.Node{"here": &p.here, "there": &p.there} {
		made, err := n.Node(name)
		if err != nil {
			t.Fatal(err)
		}
		*node = made
	}
	if err := join(n, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func cable(n *lab.Net, p pair) error { return n.Veth(p.here, "d0", p.there, "c0") }

// patience is how long a next hop that is there may take to answer on a busy machine. For a next
// hop that is not there, a short time is enough: nobody answers in any case.
func patience(there bool) time.Duration {
	if there {
		return labtest.Patience
	}
	return 1500 * time.Millisecond
}

// ask sends a probe from the node here.
func (p pair) ask(t *testing.T, addr netip.Addr, ll linkaddr.Addr, expected bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience(expected))
	defer cancel()
	ifi, err := p.here.Interface("d0")
	if err != nil {
		t.Fatal(err)
	}
	err = p.here.Do(func() error {
		got, err := probe.Answers(ctx, ifi.Index, addr, ll)
		if got != expected {
			t.Errorf("probe of %s at %q = %v, want %v", addr, ll, got, expected)
		}
		return err
	})
	if err != nil {
		t.Errorf("probe of %s: %v", addr, err)
	}
}

func linkLocal(t *testing.T, n *lab.Node, name string) netip.Addr {
	t.Helper()
	a, err := n.LinkLocal(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestNeighbourAnswers(t *testing.T) {
	p := newPair(t, cable)
	linkLocal(t, p.here, "d0")
	there := linkLocal(t, p.there, "c0")
	ifi, err := p.there.Interface("c0")
	if err != nil {
		t.Fatal(err)
	}
	mac := linkaddr.From(ifi.HardwareAddr)
	p.ask(t, there, mac, true)
	p.ask(t, there, linkaddr.Addr{}, true)

	// The same address at another link-layer address belongs to another host.
	stranger, _ := linkaddr.Parse("02:00:5e:00:53:99")
	p.ask(t, there, stranger, false)
	p.ask(t, netip.MustParseAddr("fe80::dead"), mac, false)

	if _, err := p.there.IP("link set c0 down"); err != nil {
		t.Fatal(err)
	}
	p.ask(t, there, mac, false)
}

func TestPointToPointAnswers(t *testing.T) {
	p := newPair(t, func(n *lab.Net, p pair) error {
		_, err := n.Tun(p.here, "d0", "fe80::a/64", p.there, "c0", "fe80::b/64")
		return err
	})
	p.ask(t, netip.MustParseAddr("fe80::b"), linkaddr.Addr{}, true)
	p.ask(t, netip.MustParseAddr("fe80::dead"), linkaddr.Addr{}, false)
}

func TestNoSuchLink(t *testing.T) {
	p := newPair(t, cable)
	err := p.here.Do(func() error {
		_, err := probe.Answers(t.Context(), 1<<20, netip.MustParseAddr("fe80::b"), linkaddr.Addr{})
		return err
	})
	if err == nil {
		t.Error("probe on an interface that does not exist: no error")
	}
}

// A probe that is cut short is an error: its silence tells nothing.
func TestCancelledProbeIsAnError(t *testing.T) {
	p := newPair(t, cable)
	linkLocal(t, p.here, "d0")
	ifi, err := p.here.Interface("d0")
	if err != nil {
		t.Fatal(err)
	}
	err = p.here.Do(func() error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		there, err := probe.Answers(ctx, ifi.Index, netip.MustParseAddr("fe80::dead"), linkaddr.Addr{})
		if there {
			t.Error("nobody was there, and answered")
		}
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want %v", err, context.Canceled)
	}
}

// There are many probes on one link, of next hops that are there and of others. Each hears only
// its own answers.
func TestManyProbesAtOnce(t *testing.T) {
	p := newPair(t, cable)
	linkLocal(t, p.here, "d0")
	const many = 64
	ifi, err := p.there.Interface("c0")
	if err != nil {
		t.Fatal(err)
	}
	mac := linkaddr.From(ifi.HardwareAddr)
	for i := range many / 2 {
		if _, err := p.there.IP("-6 addr add fe80::1:%x/64 dev c0 nodad", i); err != nil {
			t.Fatal(err)
		}
	}
	here, err := p.here.Interface("d0")
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		n     int
		there bool
		err   error
	}
	results := make(chan result, many)
	var space *os.File // the network namespace of the node here
	err = p.here.Do(func() (err error) {
		space, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer space.Close()
	for i := range many {
		go func() {
			runtime.LockOSThread() // it is never unlocked: the thread ends with the goroutine
			r := result{n: i}
			addr := netip.MustParseAddr(fmt.Sprintf("fe80::1:%x", i))
			ctx, cancel := context.WithTimeout(t.Context(), patience(i < many/2))
			defer cancel()
			if r.err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); r.err == nil {
				r.there, r.err = probe.Answers(ctx, here.Index, addr, mac)
			}
			results <- r
		}()
	}
	for range many {
		r := <-results
		if r.err != nil || r.there != (r.n < many/2) {
			t.Errorf("next hop %d: there %v, error %v; want %v", r.n, r.there, r.err, r.n < many/2)
		}
	}
}

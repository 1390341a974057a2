package scale

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/nft"
	"fairlead/tools/bench/harness"

	"golang.org/x/sys/unix"
)

// kernel carries out operations, and returns how long that took.
type kernel interface {
	apply(ops []hoststate.Op) (time.Duration, error)
	// actual reads back everything of ours.
	actual(w *world, n int) (*hoststate.Reading, time.Duration, error)
	// empty removes everything of ours.
	empty() error
}

// What the kernel needed on two processors of an AMD EPYC with Linux 6.18. Routes, in batches of
// 500: 200 000 to 250 000 per second up to a million; a dump of a million took 6 s; each takes
// 850 octets. Elements, in transactions of 2 048, with three for each prefix, as internal/host
// sends them: 300 000 in 0.6 s, measured by `bench scale -kernel`.
const (
	routeCost     = 5 * time.Microsecond
	elementCost   = 2 * time.Microsecond
	routeReadCost = 6 * time.Microsecond
	routeBytes    = 850
)

// readSet returns the time that reading a set takes. The kernel lists some 250 elements at a
// time, and for each 250 it walks the set from its beginning: three sets of 100 000 took 2.4 s,
// measured by `bench scale -kernel`.
func readSet(n int) time.Duration {
	const listed, each, step = 250, time.Microsecond, 35 * time.Nanosecond
	return time.Duration(n) * (each + step*time.Duration(n/listed/2))
}

// simulated is a kernel that keeps nothing: its time is calculated.
type simulated struct{}

func (simulated) apply(ops []hoststate.Op) (took time.Duration, _ error) {
	for i := range ops {
		if ops[i].Route != nil {
			took += routeCost
		} else {
			took += elementCost
		}
	}
	return took, nil
}

// actual returns what a kernel contains that has everything that is wanted.
func (simulated) actual(w *world, n int) (*hoststate.Reading, time.Duration, error) {
	r := hoststate.NewReading()
	for i := range w.links {
		for _, set := range []hoststate.Set{hoststate.Checked, hoststate.Hairpin} {
			r.AddElement(hoststate.Element{Set: set, Link: linkName(i)})
		}
	}
	for i := range n {
		c := w.client(i)
		link := linkName(c.link)
		r.AddElement(hoststate.Element{Set: hoststate.SourceStrict, Link: link, LinkLayer: c.mac, Prefix: c.prefix})
		r.AddElement(hoststate.Element{Set: hoststate.SourceKnown, Link: link, Prefix: c.prefix})
		r.AddElement(hoststate.Element{Set: hoststate.LoopShared, Link: link, LinkLayer: c.mac, Prefix: c.prefix})
		r.AddRoute(hoststate.Route{
			Table: hoststate.MainTable, Prefix: c.prefix, Metric: hoststate.DefaultMetric, Link: firstLink + c.link, Gateway: c.addr,
		})
	}
	return r, time.Duration(n)*routeReadCost + 3*readSet(n) + 2*readSet(w.links), nil
}

func (simulated) empty() error { return nil }

// real is the kernel of this machine, in a network namespace that ends with the process.
type real struct {
	routes *netlink.Conn
	filter *nft.Table
}

// newReal moves the calling goroutine into a new network namespace, for the rest of its life, and
// makes the links there.
func newReal(links int) (*real, error) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	var batch strings.Builder
	for i := range links {
		fmt.Fprintf(&batch, "link add %s index %d type veth peer name p%d index %d\nlink set p%d up\nlink set %s up\n", linkName(i), firstLink+i, i, 2*firstLink+maxLinks+i, i, linkName(i))
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("links: %w: %s", err, out)
	}
	var r real
	var err error
	if r.routes, err = netlink.Open(netlink.Options{}); err != nil {
		return nil, err
	}
	r.filter, err = nft.Open(nft.Options{})
	return &r, err
}

func (r *real) empty() error {
	if _, err := r.routes.Purge(); err != nil {
		return err
	}
	if err := r.filter.Purge(); err != nil {
		return err
	}
	err := r.filter.Close()
	if err == nil {
		r.filter, err = nft.Open(nft.Options{})
	}
	return err
}

func (r *real) apply(ops []hoststate.Op) (time.Duration, error) {
	var refused error
	failed := func(_ int, err error) { refused = err }
	began := harness.Busy()
	err := r.routes.Apply(ops, failed)
	if err == nil {
		err = r.filter.Apply(ops, failed)
	}
	if err == nil {
		err = refused
	}
	return harness.Busy() - began, err
}

func (r *real) actual(*world, int) (*hoststate.Reading, time.Duration, error) {
	began := harness.Busy()
	reading := hoststate.NewReading()
	routes, err := r.routes.Routes()
	for i := range routes {
		reading.AddRoute(routes[i])
	}
	if err == nil {
		err = r.filter.Elements(reading.AddElement)
	}
	return reading, harness.Busy() - began, err
}

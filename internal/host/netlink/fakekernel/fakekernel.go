// Package fakekernel behaves as Linux does towards routes and filter elements, in memory, and
// prints the result. It takes the place of host/netlink and host/nft in tests. The tests of
// host/netlink run the same code with it and with the real kernel, which shows that the two
// agree.
//
// It does not forward packets, and knows only one kind of foreign route. A Kernel is safe for
// concurrent use.
package fakekernel

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink"

	"golang.org/x/sys/unix"
)

// Foreign is the protocol number of routes that are not ours (RTPROT_STATIC).
const Foreign = unix.RTPROT_STATIC

// Kernel is the fake. Its zero value is not ready, see New.
type Kernel struct {
	mu       sync.Mutex // guards all following fields
	links    map[string]links.Link
	routes   map[id]route
	elements map[hoststate.Element]bool
	fail     error
}

type id struct {
	table, metric uint32
	prefix        netip.Prefix
}

type route struct {
	hoststate.Route
	protocol uint8
}

func idOf(r hoststate.Route) id { return id{table: r.Table, metric: r.Metric, prefix: r.Prefix} }

// New makes a kernel without links, routes and elements.
func New() *Kernel {
	return &Kernel{
		links: map[string]links.Link{}, routes: map[id]route{}, elements: map[hoststate.Element]bool{},
	}
}

// Fail makes every later operation fail with err; nil ends that.
func (k *Kernel) Fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = err
}

// SetLink makes or changes an interface. As in Linux, an interface that goes down, or is made
// again with another index, loses its unicast routes. One that loses its carrier keeps them.
func (k *Kernel) SetLink(l links.Link) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, there := k.links[l.Name]
	if there && (!l.Up || was.Index != l.Index) {
		k.dropVia(was.Index)
	}
	k.links[l.Name] = l
}

// RemoveLink removes an interface and its unicast routes.
func (k *Kernel) RemoveLink(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropVia(k.links[name].Index)
	delete(k.links, name)
}

func (k *Kernel) dropVia(index int) {
	maps.DeleteFunc(k.routes, func(_ id, r route) bool { return r.Link != 0 && r.Link == index })
}

// AddForeign installs a route that is not ours.
func (k *Kernel) AddForeign(r hoststate.Route) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.routes[idOf(r)] = route{r, Foreign}
}

// DeleteRoute removes a route of any owner without telling anybody.
func (k *Kernel) DeleteRoute(r hoststate.Route) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.routes, idOf(r))
}

// DeleteElement removes an element without telling anybody.
func (k *Kernel) DeleteElement(e hoststate.Element) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.elements, e)
}

// Snapshot returns the interfaces, ordered by index.
func (k *Kernel) Snapshot() ([]links.Link, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.SortedFunc(maps.Values(k.links), func(a, b links.Link) int { return a.Index - b.Index }), nil
}

// Apply carries out operations on routes and elements, with the errors of host/netlink.
func (k *Kernel) Apply(ops []hoststate.Op, failed func(i int, err error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	for i, op := range ops {
		switch {
		case op.Route == nil && op.Element == nil:
			return errors.New("fake kernel: operation on nothing")
		case op.Route != nil:
			if err := k.applyRoute(op); err != nil {
				failed(i, fmt.Errorf("route %v: %w", op.Route, err))
			}
		case op.Remove:
			delete(k.elements, *op.Element)
		default:
			k.elements[*op.Element] = true
		}
	}
	return nil
}

func (k *Kernel) applyRoute(op hoststate.Op) error {
	key := idOf(*op.Route)
	was, there := k.routes[key]
	foreign := there && was.protocol != netlink.Protocol
	switch {
	case op.Remove && foreign:
		return nil
	case op.Remove:
		delete(k.routes, key)
		return nil
	case op.Route.Link > 0 && !k.up(op.Route.Link):
		return netlink.ErrRefused
	case foreign:
		return netlink.ErrForeign
	}
	k.routes[key] = route{*op.Route, netlink.Protocol}
	return nil
}

func (k *Kernel) up(index int) bool {
	for _, l := range k.links {
		if l.Index == index {
			return l.Up
		}
	}
	return false
}

// Routes returns our routes, in order.
func (k *Kernel) Routes() ([]hoststate.Route, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return nil, k.fail
	}
	var rs []hoststate.Route
	for _, r := range k.sorted() {
		if r.protocol == netlink.Protocol {
			rs = append(rs, r.Route)
		}
	}
	return rs, nil
}

// Elements calls found with all elements, in order.
func (k *Kernel) Elements(found func(hoststate.Element)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	for _, e := range slices.SortedFunc(maps.Keys(k.elements), func(a, b hoststate.Element) int { return strings.Compare(a.String(), b.String()) }) {
		found(e)
	}
	return nil
}

// Purge removes our routes and all elements, and returns how many routes there were.
func (k *Kernel) Purge() (n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return 0, k.fail
	}
	before := len(k.routes)
	maps.DeleteFunc(k.routes, func(_ id, r route) bool { return r.protocol == netlink.Protocol })
	clear(k.elements)
	return before - len(k.routes), nil
}

func (k *Kernel) sorted() []route {
	return slices.SortedFunc(maps.Values(k.routes), func(a, b route) int {
		if a.Table != b.Table {
			return int(a.Table) - int(b.Table)
		}
		if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
			return c
		}
		if c := a.Prefix.Bits() - b.Prefix.Bits(); c != 0 {
			return c
		}
		return int(a.Metric) - int(b.Metric)
	})
}

// String prints routes as ip -6 route does, but always with table and protocol, and then the
// elements.
func (k *Kernel) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := map[int]string{}
	for _, l := range k.links {
		names[l.Index] = l.Name
	}
	var b strings.Builder
	for _, r := range k.sorted() {
		switch r.Link {
		case 0:
			b.WriteString("unreachable ")
		case hoststate.Throw:
			b.WriteString("throw ")
		}
		b.WriteString(strings.TrimSuffix(r.Prefix.String(), "/128"))
		if r.Gateway.IsValid() {
			fmt.Fprintf(&b, " via %s", r.Gateway)
		}
		if r.Link > 0 {
			fmt.Fprintf(&b, " dev %s", names[r.Link])
		}
		fmt.Fprintf(&b, " table %d proto %d metric %d\n", r.Table, r.protocol, r.Metric)
	}
	for _, e := range slices.Sorted(func(yield func(string) bool) {
		for e := range k.elements {
			if !yield(e.String()) {
				return
			}
		}
	}) {
		b.WriteString("element " + e + "\n")
	}
	return b.String()
}

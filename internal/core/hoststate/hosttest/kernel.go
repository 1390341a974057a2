// Package hosttest has a kernel in memory, for tests of cores. It is for tests alone.
package hosttest

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/ledger"
)

// Kernel is a kernel that behaves: it refuses routes over devices that are down
// or unknown, and loses those over a device that goes.
type Kernel struct {
	Routes   map[Key]hoststate.Route
	Elements map[hoststate.Element]bool
	Fail     func(hoststate.Op) error // an outage that a test plans

	up map[int]bool
}

// Key is what identifies a route.
type Key struct {
	Table, Metric uint32
	Prefix        netip.Prefix
}

// New is a kernel that has nothing.
func New() *Kernel {
	return &Kernel{up: make(map[int]bool), Routes: make(map[Key]hoststate.Route), Elements: make(map[hoststate.Element]bool)}
}

// Link sets a device's state; down or gone, its routes go.
func (k *Kernel) Link(index int, up bool) {
	k.up[index] = up
	if up {
		return
	}
	maps.DeleteFunc(k.Routes, func(_ Key, r hoststate.Route) bool { return r.Link == index })
}

// Apply carries out one operation.
func (k *Kernel) Apply(op hoststate.Op) error {
	if k.Fail != nil {
		if err := k.Fail(op); err != nil {
			return err
		}
	}
	if op.Element != nil {
		if op.Remove {
			delete(k.Elements, *op.Element)
		} else {
			k.Elements[*op.Element] = true
		}
		return nil
	}
	key := Key{op.Route.Table, op.Route.Metric, op.Route.Prefix}
	switch {
	case op.Remove:
		delete(k.Routes, key)
	case op.Route.Link > 0 && !k.up[op.Route.Link]:
		return fmt.Errorf("%w: network is down", effect.ErrRefused)
	default:
		k.Routes[key] = *op.Route
	}
	return nil
}

// Actual is what a dump would show.
func (k *Kernel) Actual() hoststate.Actual {
	var a hoststate.Actual
	for _, r := range k.Routes {
		a.Routes = append(a.Routes, r)
	}
	for e := range k.Elements {
		a.Elements = append(a.Elements, e)
	}
	slices.SortFunc(a.Routes, func(x, y hoststate.Route) int { return cmp.Compare(x.String(), y.String()) })
	slices.SortFunc(a.Elements, func(x, y hoststate.Element) int { return cmp.Compare(x.String(), y.String()) })
	return a
}

// RoutesOf are the routes of one prefix in every table, as text.
func (k *Kernel) RoutesOf(p string) []string {
	var all []string
	for _, r := range k.Actual().Routes {
		if r.Prefix == netip.MustParsePrefix(p) {
			all = append(all, r.String())
		}
	}
	return all
}

// Allows reports whether the filter lets anyone on a link use a prefix.
func (k *Kernel) Allows(link, p string) bool {
	return k.Elements[hoststate.Element{Set: hoststate.SourceLink, Link: link, Prefix: netip.MustParsePrefix(p)}]
}

// Compare compares the kernel with what a core wants of it, as a whole, and removes what nobody
// wants. What the core wants becomes Changes.
func (k *Kernel) Compare(core ledger.Kernel, eff *effect.Effects) (found []hoststate.Finding) {
	c, reading := core.Compare(), hoststate.Read(k.Actual())
	for done := false; !done; {
		var more []hoststate.Finding
		more, done, _ = core.ComparePart(c, reading, eff)
		found = append(found, more...)
	}
	for left := range reading.LeftOver(100) {
		found = append(found, hoststate.LeftOvers(left)...)
		for _, op := range left {
			_ = k.Apply(op) // what fails is there again for the next comparison
		}
	}
	return found
}

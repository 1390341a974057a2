package relay6_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
)

// kernel is a kernel that behaves: it refuses routes over devices that are down
// or unknown, and loses those over a device that goes.
type kernel struct {
	up       map[int]bool
	routes   map[routeKey]hoststate.Route
	elements map[hoststate.Element]bool
	fail     func(hoststate.Op) error // an outage that a test plans
}

type routeKey struct {
	table, metric uint32
	prefix        netip.Prefix
}

func newKernel() *kernel {
	return &kernel{up: make(map[int]bool), routes: make(map[routeKey]hoststate.Route), elements: make(map[hoststate.Element]bool)}
}

// link sets a device's state; down or gone, its routes go.
func (k *kernel) link(index int, up bool) {
	k.up[index] = up
	if up {
		return
	}
	maps.DeleteFunc(k.routes, func(_ routeKey, r hoststate.Route) bool { return r.Link == index })
}

func (k *kernel) apply(op hoststate.Op) error {
	if k.fail != nil {
		if err := k.fail(op); err != nil {
			return err
		}
	}
	if op.Element != nil {
		if op.Remove {
			delete(k.elements, *op.Element)
		} else {
			k.elements[*op.Element] = true
		}
		return nil
	}
	key := routeKey{op.Route.Table, op.Route.Metric, op.Route.Prefix}
	switch {
	case op.Remove:
		delete(k.routes, key)
	case op.Route.Link > 0 && !k.up[op.Route.Link]:
		return fmt.Errorf("%w: network is down", effect.ErrRefused)
	default:
		k.routes[key] = *op.Route
	}
	return nil
}

// actual is what a dump would show.
func (k *kernel) actual() hoststate.Actual {
	var a hoststate.Actual
	for _, r := range k.routes {
		a.Routes = append(a.Routes, r)
	}
	for e := range k.elements {
		a.Elements = append(a.Elements, e)
	}
	slices.SortFunc(a.Routes, func(x, y hoststate.Route) int { return cmp.Compare(x.String(), y.String()) })
	slices.SortFunc(a.Elements, func(x, y hoststate.Element) int { return cmp.Compare(x.String(), y.String()) })
	return a
}

// routesOf are the routes of one prefix in every table, as text.
func (k *kernel) routesOf(p string) []string {
	var all []string
	for _, r := range k.actual().Routes {
		if r.Prefix == cidr(p) {
			all = append(all, r.String())
		}
	}
	return all
}

// allows reports whether the filter lets anyone on a link use a prefix.
func (k *kernel) allows(link, p string) bool {
	return k.elements[hoststate.Element{Set: hoststate.SourceLink, Link: link, Prefix: cidr(p)}]
}

package traffic_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
)

// wantRoute waits until the kernel has the only route to a prefix that sends it
// to a client.
func (r *rig) wantRoute(p netip.Prefix, client int) {
	r.t.Helper()
	next, err := r.Client(client).LinkLocal("c0")
	need(r.t, err)
	r.WantRouteVia(p, next.String(), r.Downlink(client))
}

// reaches waits until an address answers a node. An invalid from leaves the
// source to the kernel.
func reaches(t *testing.T, node *lab.Node, from, to netip.Addr) {
	t.Helper()
	until(t, node.Name+" reaches "+to.String(), func() bool { return node.Ping(from, to) == nil })
}

// settleIn gives the client's home network an address out of a prefix and
// returns it.
func (r *rig) settleIn(client int, p netip.Prefix) netip.Addr {
	r.t.Helper()
	inside := p.Addr().Next()
	need(r.t, r.Client(client).Address("lan0", inside.String()+"/64"))
	return inside
}

// contains is strings.Contains, for what commands print.
func contains(text, part string) bool { return strings.Contains(text, part) }

// cut is strings.Cut at the first blank.
func cut(text string) (before, after string, found bool) { return strings.Cut(text, " ") }

// replaceOnce replaces the first occurrence of a text.
func replaceOnce(text, old, by string) string { return strings.Replace(text, old, by, 1) }

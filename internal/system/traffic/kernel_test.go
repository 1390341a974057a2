package traffic_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
)

// route is a route as `ip -N -j -6 route show` tells it.
type route struct {
	Type     string `json:"type"`
	Dst      string `json:"dst"`
	Gateway  string `json:"gateway"`
	Dev      string `json:"dev"`
	Table    string `json:"table"`
	Protocol string `json:"protocol"`
	Metric   int    `json:"metric"`
}

// routes are the routes with the relay's protocol number, in all tables.
func (r *rig) routes() []route {
	r.t.Helper()
	out, err := r.Relay.IP("-N -j -6 route show table all")
	need(r.t, err)
	var all []route
	need(r.t, json.Unmarshal([]byte(out), &all))
	return slices.DeleteFunc(all, func(one route) bool { return one.Protocol != "87" })
}

// routed are the destinations of those routes, in order.
func (r *rig) routed() []string {
	r.t.Helper()
	var all []string
	for _, one := range r.routes() {
		all = append(all, one.Dst)
	}
	slices.Sort(all)
	return all
}

// routeOf are the relay's routes to exactly one prefix.
func (r *rig) routeOf(p netip.Prefix) []route {
	r.t.Helper()
	dst := p.String()
	return slices.DeleteFunc(r.routes(), func(one route) bool { return one.Dst != dst })
}

// wantRoute waits until the kernel has the only route to a prefix that sends it
// to a client.
func (r *rig) wantRoute(p netip.Prefix, client int) {
	r.t.Helper()
	next, err := r.Client(client).LinkLocal("c0")
	need(r.t, err)
	r.wantRouteVia(p, next.String(), r.Downlink(client))
}

// wantRouteVia is wantRoute with a next hop and an interface.
func (r *rig) wantRouteVia(p netip.Prefix, next, dev string) {
	r.t.Helper()
	var got []route
	err := lab.Until(patience, fmt.Sprintf("%s is routed via %s dev %s", p, next, dev), func() bool {
		got = r.routeOf(p)
		return len(got) == 1 && got[0].Gateway == next && got[0].Dev == dev && (got[0].Type == "" || got[0].Type == "1" || got[0].Type == "unicast")
	})
	if err != nil {
		r.t.Fatalf("%v; the kernel has %+v", err, got)
	}
}

// wantStandIn waits until the only route to a prefix is unreachable.
func (r *rig) wantStandIn(p netip.Prefix) {
	r.t.Helper()
	var got []route
	err := lab.Until(patience, p.String()+" is unreachable", func() bool {
		got = r.routeOf(p)
		return len(got) == 1 && (got[0].Type == "unreachable" || got[0].Type == "7")
	})
	if err != nil {
		r.t.Fatalf("%v; the kernel has %+v", err, got)
	}
}

// wantNoRoute waits until the kernel has no route of ours to a prefix.
func (r *rig) wantNoRoute(p netip.Prefix) {
	r.t.Helper()
	until(r.t, p.String()+" is not routed", func() bool { return len(r.routeOf(p)) == 0 })
}

// ruleset is the relay's nft table as nft tells it.
type ruleset struct {
	Objects []struct {
		Set *struct {
			Name string            `json:"name"`
			Elem []json.RawMessage `json:"elem"`
		} `json:"set"`
		Counter *struct {
			Name    string `json:"name"`
			Packets int    `json:"packets"`
		} `json:"counter"`
	} `json:"nftables"`
}

func (r *rig) ruleset() (all ruleset) {
	r.t.Helper()
	out, err := r.Relay.Run("nft", "-j", "list", "table", "inet", "fairlead")
	need(r.t, err)
	need(r.t, json.Unmarshal([]byte(out), &all))
	return all
}

// counter is a counter of the filter, by its name.
func (r *rig) counter(name string) int {
	r.t.Helper()
	for _, o := range r.ruleset().Objects {
		if o.Counter != nil && o.Counter.Name == name {
			return o.Counter.Packets
		}
	}
	r.t.Fatalf("nft has no counter %q", name)
	return 0
}

// permitted are the elements of the filter's sets in which a text occurs, each
// with the name of its set: "source-link-56 [...]".
func (r *rig) permitted(text string) (found []string) {
	r.t.Helper()
	for _, o := range r.ruleset().Objects {
		if o.Set == nil {
			continue
		}
		for _, e := range o.Set.Elem {
			if strings.Contains(string(e), text) {
				found = append(found, o.Set.Name+" "+string(e))
			}
		}
	}
	return found
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

package labtest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
)

// Kernel is the state of the kernel of the relay's node, as ip and nft show it.
type Kernel struct {
	t    testing.TB
	node *lab.Node
}

// KernelOf returns the Kernel of a node.
func KernelOf(t testing.TB, d *lab.Node) *Kernel { return &Kernel{t: t, node: d} }

// Route is a route as `ip -N -j -6 route show` shows it.
type Route struct {
	Type     string `json:"type"`
	Dst      string `json:"dst"`
	Gateway  string `json:"gateway"`
	Dev      string `json:"dev"`
	Table    string `json:"table"`
	Protocol string `json:"protocol"`
	Metric   int    `json:"metric"`
}

// Routes returns the routes with the relay's protocol number, in all tables.
func (k *Kernel) Routes() []Route {
	k.t.Helper()
	out, err := k.node.IP("-N -j -6 route show table all")
	Need(k.t, err)
	var all []Route
	Need(k.t, json.Unmarshal([]byte(out), &all))
	return slices.DeleteFunc(all, func(one Route) bool { return one.Protocol != "87" })
}

// Routed returns the destinations of those routes, in order.
func (k *Kernel) Routed() []string {
	k.t.Helper()
	var all []string
	for _, one := range k.Routes() {
		all = append(all, one.Dst)
	}
	slices.Sort(all)
	return all
}

// RouteOf returns the relay's routes to exactly one prefix.
func (k *Kernel) RouteOf(p netip.Prefix) []Route {
	k.t.Helper()
	dst := p.String()
	return slices.DeleteFunc(k.Routes(), func(one Route) bool { return one.Dst != dst })
}

// WantRouteVia waits until the kernel has exactly one route to a prefix, through a next hop on an
// interface.
func (k *Kernel) WantRouteVia(p netip.Prefix, next, dev string) {
	k.t.Helper()
	var got []Route
	err := lab.Until(Patience, fmt.Sprintf("%s is routed via %s dev %s", p, next, dev), func() bool {
		got = k.RouteOf(p)
		return len(got) == 1 && got[0].Gateway == next && got[0].Dev == dev && (got[0].Type == "" || got[0].Type == "1" || got[0].Type == "unicast")
	})
	if err != nil {
		k.t.Fatalf("%v; the kernel has %+v", err, got)
	}
}

// WantStandIn waits until the only route to a prefix is unreachable.
func (k *Kernel) WantStandIn(p netip.Prefix) {
	k.t.Helper()
	err := lab.Until(Patience, p.String()+" is unreachable", func() bool { return k.IsStandIn(p) })
	if err != nil {
		k.t.Fatalf("%v; the kernel has %+v", err, k.RouteOf(p))
	}
}

// IsStandIn reports whether the only route to a prefix is unreachable.
func (k *Kernel) IsStandIn(p netip.Prefix) bool {
	k.t.Helper()
	got := k.RouteOf(p)
	return len(got) == 1 && (got[0].Type == "unreachable" || got[0].Type == "7")
}

// WantNoRoute waits until the kernel has no route of ours to a prefix.
func (k *Kernel) WantNoRoute(p netip.Prefix) {
	k.t.Helper()
	Until(k.t, p.String()+" is not routed", func() bool { return len(k.RouteOf(p)) == 0 })
}

// ruleset is the relay's nft table as nft shows it.
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

func (k *Kernel) ruleset() (all ruleset) {
	k.t.Helper()
	out, err := k.node.Run("nft", "-j", "list", "table", "inet", "fairlead")
	Need(k.t, err)
	Need(k.t, json.Unmarshal([]byte(out), &all))
	return all
}

// Counter returns how many packets a counter of the filter has seen.
func (k *Kernel) Counter(name string) int {
	k.t.Helper()
	for _, o := range k.ruleset().Objects {
		if o.Counter != nil && o.Counter.Name == name {
			return o.Counter.Packets
		}
	}
	k.t.Fatalf("nft has no counter %q", name)
	return 0
}

// Permitted returns the elements of the filter's sets in which a text occurs, each with the name
// of its set: "source-link-56 [...]". The set of spoofed sources is left out, and so is the time
// when an element was last used.
func (k *Kernel) Permitted(text string) (found []string) {
	k.t.Helper()
	for _, o := range k.ruleset().Objects {
		if o.Set == nil || o.Set.Name == "spoofed-sources" {
			continue
		}
		for _, e := range o.Set.Elem {
			var timed struct {
				Elem struct{ Val json.RawMessage }
			}
			if json.Unmarshal(e, &timed) == nil && timed.Elem.Val != nil {
				e = timed.Elem.Val
			}
			if strings.Contains(string(e), text) {
				found = append(found, o.Set.Name+" "+string(e))
			}
		}
	}
	return found
}

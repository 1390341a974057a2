//go:build vm

package netlink

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
)

// A link that joins a VRF is reported with its table, and routes go into that table. Kernels of
// build machines may have no VRF, so this test runs in the virtual machine.
func TestLinkInVRF(t *testing.T) {
	c := open(t)
	run(t, "ip link add c0 type veth peer name p0")
	run(t, "ip link set p0 up")
	run(t, "ip link set c0 up")
	events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(t, "ip link add red type vrf table 1000")
	run(t, "ip link set red up")
	run(t, "ip link set c0 master red")
	e := until(t, events, "c0 in the VRF", link("c0", func(l links.Link) bool { return l.VRF == "red" && l.Table == 1000 && l.Up }))
	r := hoststate.Route{
		Table: e.Link.Table, Metric: 1024, Prefix: netip.MustParsePrefix("2001:db8:100::/56"),
		Link: e.Link.Index, Gateway: netip.MustParseAddr("fe80::1"),
	}
	failed := func(_ int, err error) { t.Error(err) }
	if err := c.Apply([]hoststate.Op{{Route: &r}}, failed); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ip", "-6", "route", "show", "vrf", "red", "proto", "87").CombinedOutput()
	if got, want := strings.TrimSpace(string(out)), "2001:db8:100::/56 via fe80::1 dev c0 metric 1024 pref medium"; err != nil || got != want {
		t.Errorf("routes of the VRF: %q, %v, want %q", got, err, want)
	}
	r.Link, r.Gateway = 0, netip.Addr{}
	if err := c.Apply([]hoststate.Op{{Route: &r}}, failed); err != nil {
		t.Fatal(err)
	}
	run(t, "ip link set c0 nomaster")
	until(t, events, "c0 out of the VRF", link("c0", func(l links.Link) bool { return l.VRF == "" && l.Table == 254 }))
	if n, err := c.Purge(); n != 1 || err != nil {
		t.Errorf("purge: %d, %v, want 1", n, err)
	}
}

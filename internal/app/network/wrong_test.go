package network

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
)

// The status shows configured names that match no interface: uplinks, and rules without
// wildcards. A glob in a rule may match nothing for a while.
func TestNamesThatNoInterfaceHas(t *testing.T) {
	n := newOpenings()
	n.Configure([]trust.Peer{
		{Name: "kea1", Interfaces: []string{"eth0", "eth1"}},
		{Name: "kea2", Interfaces: []string{"eth7", "up*"}},
		{Name: "kea3", Interfaces: []string{"eth0", "up*"}},
	}, IPv6.ServerPort)
	know := func(names ...string) {
		for _, name := range names {
			n.Know(links.Link{Index: len(n.links) + 1, Name: name})
		}
	}
	know("eth0", "cust1")
	match := []string{"cust1", "ppp*", "cust2"}
	want := []string{
		"peer kea1: no interface is named eth1",
		"peer kea2: no interface matches eth7, up*: nothing is heard from it",
		"relay6.links: no interface is named cust2: nobody is served there",
	}
	if diff := cmp.Diff(want, n.Absent("relay6", match)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	know("eth1", "up3", "cust2")
	if got := n.Absent("relay6", match); len(got) != 1 || got[0] != "peer kea2: no interface is named eth7" {
		t.Errorf("with all but eth7: %q", got)
	}
	match = nil
	for i := range 20 {
		match = append(match, fmt.Sprint("vlan", i))
	}
	if got := n.Absent("relay6", match)[1]; got != "relay6.links: no interface is named vlan0, vlan1, vlan2, vlan3, vlan4, vlan5, vlan6, vlan7 and 12 more: nobody is served there" {
		t.Errorf("with many: %q", got)
	}
}

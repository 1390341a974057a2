package relay

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/config"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
)

// What is configured and matches no interface is in status: uplinks, and rules without
// wildcards. A glob of a rule may match nothing for a while.
func TestNamesThatNoInterfaceHas(t *testing.T) {
	cfg := relaying(config.Config{Process: config.Process{Peers: []trust.Peer{
		{Name: "kea1", Interfaces: []string{"eth0", "eth1"}},
		{Name: "kea2", Interfaces: []string{"eth7", "up*"}},
		{Name: "kea3", Interfaces: []string{"eth0", "up*"}},
	}}})
	section(cfg).Links = []relay6.LinkRule{{Match: []string{"cust1", "ppp*"}}, {Match: []string{"cust2"}}}
	there := map[string]links.Link{"eth0": {}, "cust1": {}}
	want := []string{
		"peer kea1: no interface is named eth1",
		"peer kea2: no interface matches eth7, up*: nothing is heard from it",
		"links: no interface is named cust2: nobody is served there",
	}
	if diff := cmp.Diff(want, absent(cfg, there)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	there["eth1"], there["up3"], there["cust2"] = links.Link{}, links.Link{}, links.Link{}
	if got := absent(cfg, there); len(got) != 1 || got[0] != "peer kea2: no interface is named eth7" {
		t.Errorf("with all but eth7: %q", got)
	}
	section(cfg).Links = nil
	for i := range 20 {
		section(cfg).Links = append(section(cfg).Links, relay6.LinkRule{Match: []string{fmt.Sprint("vlan", i)}})
	}
	if got := absent(cfg, there)[1]; got != "links: no interface is named vlan0, vlan1, vlan2, vlan3, vlan4, vlan5, vlan6, vlan7 and 12 more: nobody is served there" {
		t.Errorf("with many: %q", got)
	}
}

//go:build vm

package ipsec_test

import (
	"maps"
	"testing"

	"fairlead/internal/core/hop"
)

// Whether an interface of a link-local hop is in a VRF is noticed when it changes. An interface
// in a bridge is in no VRF.
func TestESPLinksInVRF(t *testing.T) {
	d := loneNode(t)
	for _, words := range []string{
		"link add red type vrf table 1000", "link add br0 type bridge", "link add lan0 type veth peer name lan1", "link set lan1 master br0", "link set red up",
	} {
		_, err := d.IP("%s", words)
		need(t, err)
	}
	k := openKernel(t, d, hop.OwnerRelay)
	hops := []hop.Hop{{Link: "lan0"}, {}, {Link: "lan1"}, {Link: "lan0"}, {Link: "none"}}
	for _, step := range []struct {
		words string
		in    bool
	}{{"link set lan0 up", false}, {"link set lan0 master red", true}, {"link set lan0 nomaster", false}} {
		_, err := d.IP("%s", step.words)
		need(t, err)
		if got, want := k.VRF(hops), map[string]bool{"lan0": step.in, "lan1": false, "none": false}; !maps.Equal(got, want) {
			t.Errorf("after %q: %v, want %v", step.words, got, want)
		}
	}
}

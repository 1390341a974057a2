//go:build vm

package nft_test

import (
	"strconv"
	"testing"
)

// Where the link to the peers is in a VRF, frames by the link are held back, and so are frames by
// the device of the VRF, which has no chain of its own. A frame by the device of a VLAN is
// dropped there and counted once, although the device below it would drop it too. Kernels older
// than those of build machines remove a chain with its device: that is not reported as a change
// by another program.
func TestGuardFramesVRFAndVLAN(t *testing.T) {
	p := newPair(t, "red")
	p.install(true, threeHops()...)
	clearFrames(t, p)
	p.host.run("ip link add link e0 name e0.5 up type vlan id 5")
	f := p.host.framer(t, p.other)
	for _, link := range []string{"e0", "e0.5", "red"} {
		if !p.dropped(f, link) {
			t.Errorf("a frame left by %s", link)
		}
	}
	for _, l := range p.links() {
		if l.Name == "e0.5" {
			p.host.run("nft delete chain netdev fairlead-guard-guard link-" + strconv.Itoa(l.Index))
		}
	}
	_, before, _ := totals(p.observe())
	f.send("e0.5", host6, peer6, 547, 547)
	if _, after, _ := totals(p.observe()); after != before+1 {
		t.Error("without the chain of e0.5 a frame left by e0")
	}
	p.install(true, threeHops()...)
	p.host.run("ip link del e0.5")
	if o := p.observe(); !o.Intact || o.Frames != "" {
		t.Errorf("an interface has gone: %+v", o)
	}
}

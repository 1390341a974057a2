//go:build vm

package nft_test

import (
	"strconv"
	"testing"
)

// Where the link to the peers belongs to a VRF, frames by the link are held back,
// and the VRF's own device is none of those that are guarded.
func TestGuardFramesVRF(t *testing.T) {
	p := newPair(t, "red")
	p.install(true, threeHops()...)
	clearFrames(t, p)
	f := p.host.framer(t, p.other)
	if !p.dropped(f, "red") {
		t.Error("a frame left by the VRF's device")
	}
	// Older kernels remove a chain with its device.
	p.host.run("ip link add e1 up type dummy")
	if o := p.observe(); !o.Intact || !p.dropped(f, "e1") {
		t.Errorf("an interface has come: %+v, or a frame left by it", o)
	}
	p.host.run("ip link del e1")
	if o := p.observe(); !o.Intact || o.Frames != "" {
		t.Errorf("an interface has gone: %+v", o)
	}
}

// A frame by a VLAN's device is dropped there, and so counted once, though it
// would pass the device below as well.
func TestGuardFramesVLAN(t *testing.T) {
	p := newPair(t, "")
	p.host.run("ip link add link e0 name e0.5 up type vlan id 5")
	p.install(true, threeHops()...)
	f := p.host.framer(t, p.other)
	for _, link := range []string{"e0.5", "e0"} {
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
}

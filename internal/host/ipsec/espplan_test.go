//go:build vm

package ipsec_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

// xfrmStates are a node's states as ip prints them, without their times: one state in each line,
// sorted.
func xfrmStates(t *testing.T, d *lab.Node) []string {
	t.Helper()
	out, err := d.IP("-s xfrm state")
	need(t, err)
	var all []string
	for line := range strings.Lines(out) {
		text := strings.Join(strings.Fields(line), " ")
		switch {
		case strings.HasPrefix(line, "src"):
			all = append(all, text)
		case !strings.HasPrefix(text, "add "):
			all[len(all)-1] += " " + text
		}
	}
	slices.Sort(all)
	return all
}

// The plan's commands, with the keys put in, make exactly the states that are installed: Install
// finds nothing to change in them.
func TestESPPlan(t *testing.T) {
	d := loneNode(t)
	_, err := d.IP("link add lan0 type veth peer name lan1")
	need(t, err)
	k := openKernel(t, d, hop.OwnerRelay)
	need(t, k.Install(byHand()))
	states, laid := xfrmStates(t, d), policies(t, d)
	if len(states) != 7 {
		t.Errorf("states are\n%s", strings.Join(states, "\n"))
	}
	need(t, k.Remove())
	if left := xfrmStates(t, d); len(left) > 0 {
		t.Fatalf("of the states there is left\n%s", strings.Join(left, "\n"))
	}
	feed(t, d, batch(byHand()), "xfrm")
	if got := xfrmStates(t, d); !slices.Equal(got, states) {
		t.Errorf("states by the plan:\n%s\nand installed:\n%s", strings.Join(got, "\n"), strings.Join(states, "\n"))
	}
	wantPolicies(t, d, laid...)
	seen, err := k.Observe()
	need(t, err)
	need(t, k.Install(byHand()))
	again, err := k.Observe()
	need(t, err)
	if len(seen.States) != 7 || len(again.States) != 7 || !slices.Equal(xfrmStates(t, d), states) {
		t.Errorf("what the plan made was not good enough: %+v became %+v", seen.States, again.States)
	}
}

// Keys that have changed while no process ran are removed at the next start: an SPI that we
// receive by at once; one that we send by when no packet is under way with it any more. Those of
// another owner stay.
func TestESPKeysChangeWhileNobodyRuns(t *testing.T) {
	d := loneNode(t)
	guard := openKernel(t, d, hop.OwnerGuard)
	need(t, guard.Install([]hop.Hop{manual("theirs", "192.0.2.1", "192.0.2.2", 0x901, 0x902)}))
	before := openKernel(t, d, hop.OwnerRelay)
	need(t, before.Install([]hop.Hop{
		manual("a", "2001:db8::1", "2001:db8::2", 0x101, 0x201, 0x202), manual("b", "2001:db8::1", "2001:db8::3", 0x102, 0x203),
	}))
	sameNumber := manual("a", "2001:db8::1", "2001:db8::2", 0x111, 0x202)
	sameNumber.Manual.In[0].Encryption = secret(0x77, 16)
	next := openKernel(t, d, hop.OwnerRelay)
	need(t, next.Install([]hop.Hop{sameNumber}))
	spis := func() (all []uint32) {
		seen, err := next.Observe()
		need(t, err)
		for _, s := range seen.States {
			all = append(all, s.SPI)
		}
		slices.Sort(all)
		return all
	}
	// We sent to the same host with 0x101, which is running out.
	if got, want := spis(), []uint32{0x101, 0x111, 0x202, 0x901, 0x902}; !slices.Equal(got, want) && !slices.Equal(got, want[1:]) {
		t.Errorf("states %#x, want %#x", got, want)
	}
	labtest.Until(t, "only the new ones are left", func() bool { return slices.Equal(spis(), []uint32{0x111, 0x202, 0x901, 0x902}) })
	for _, state := range xfrmStates(t, d) {
		if strings.Contains(state, " spi 0x00000202(") && !strings.Contains(state, " 0x"+strings.Repeat("77", 16)+" ") {
			t.Errorf("the key under the same number is the old one: %s", state)
		}
	}
}

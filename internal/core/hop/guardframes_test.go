package hop_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
)

// guardedLinks are those of anyPacket.
var guardedLinks = []hop.GuardLink{{Index: 2, Name: "e0"}, {Index: 30, Name: "e1"}}

// mustFrame is what the law wants of a packet that leaves by a device: a datagram
// of a socket of this host to a peer is in clear, since ESP hides ports.
func mustFrame(hops []hop.Hop, p *seen) string {
	if !p.socket || p.tcp || !p.ports {
		return ""
	}
	i := slices.IndexFunc(hops, func(h hop.Hop) bool {
		port := func(v uint16) bool { return v == h.Port() || h.RelayPort != 0 && v == h.RelayPort }
		return h.Remote == p.dest && (h.Link == "" || h.Link == p.linkOut) && (port(p.sport) || port(p.dport))
	})
	if i < 0 {
		return ""
	}
	return hop.CounterName(hops[i].Name, true)
}

// The table of frames does to every packet what the law says, and counts it once.
func TestFrameTableIsTheLaw(t *testing.T) {
	table := hop.OwnerGuard.FrameTable(guarded(), guardedLinks)
	r := rand.New(rand.NewPCG(8213, 2))
	results := map[string]int{}
	for range 40_000 {
		p := anyPacket(r)
		p.hook, p.quotes, p.linkOut, p.socket = hop.HookEgress, nil, guardedLinks[r.IntN(2)].Name, r.IntN(3) > 0
		counted, dropped := carriesOut(&table, p)
		want := mustFrame(guarded(), p)
		if got := strings.Join(counted, " and "); got != want || dropped != (want != "") {
			t.Fatalf("%+v\ncounted %q, dropped %v; want %q", p, got, dropped, want)
		}
		results[want]++
	}
	if len(results) != 5 { // pass, and each of four addresses
		t.Errorf("what happened is %v, want 5 kinds", results)
	}
}

// Each interface has a chain, whose name another interface does not take over.
func TestFrameTableHasAChainForEachLink(t *testing.T) {
	names := func(links ...hop.GuardLink) (names []string) {
		table := hop.OwnerGuard.FrameTable(guarded(), links)
		for _, c := range table.Chains {
			if c.Hook == hop.HookEgress {
				names = append(names, c.Name+" "+c.Device)
			}
		}
		return names
	}
	if got := names(guardedLinks...); !slices.Equal(got, []string{"link-2 e0", "link-30 e1"}) {
		t.Errorf("chains %q", got)
	}
	if got := names(); len(got) != 0 {
		t.Errorf("no links: chains %q", got)
	}
	if hop.OwnerRelay.StopsFrames() || !hop.OwnerGuard.StopsFrames() {
		t.Error("frames are the guard's alone to hold back")
	}
}

// The text of a plan, as operators see it.
func TestFrameText(t *testing.T) {
	table := hop.OwnerGuard.FrameTable(guarded()[2:], guardedLinks)
	want, err := os.ReadFile("testdata/frames.nft")
	if got := table.String(); err != nil || got != string(want) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
	}
}

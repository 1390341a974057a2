package control_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
)

// state is a hop in which every field has another value.
func state() hop.State {
	return hop.State{
		Hop: "kea+1", Peer: "kea", Mode: "ike psk",
		Local: netip.MustParseAddr("2001:db8::1"), Remote: netip.MustParseAddr("2001:db8::547"),
		Protected: true, Problem: "p", Algorithms: "AES_GCM_16-256", Age: 90 * time.Second,
		Figures: hop.Figures{
			In: hop.Traffic{Packets: 1, Bytes: 2}, Out: hop.Traffic{Packets: 3, Bytes: 4}, Rekeys: 5,
			DroppedIn: hop.Traffic{Packets: 6, Bytes: 7}, DroppedOut: hop.Traffic{Packets: 8, Bytes: 9}, Rejected: 11,
		}, DroppedAt: "kea",
		LastError: "AUTHENTICATION_FAILED", LastErrorAt: wall, Warnings: []string{"w"},
	}
}

// The text is an interface: other programs parse it.
func TestHopOf(t *testing.T) {
	s := state()
	got, err := json.Marshal(control.HopOf(&s))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"kea+1","mode":"ike psk","local":"2001:db8::1","remote":"2001:db8::547","protected":true,"problem":"p",` +
		`"algorithms":"AES_GCM_16-256","age":90,"in":{"packets":1,"bytes":2},"out":{"packets":3,"bytes":4},"rekeys":5,` +
		`"dropped_in":{"packets":6,"bytes":7},"dropped_out":{"packets":8,"bytes":9},"rejected":11,"dropped_at":"kea",` +
		`"last_error":"AUTHENTICATION_FAILED","last_error_at":"2026-03-04T05:06:07Z","warnings":["w"]}`
	if string(got) != want {
		t.Errorf("hop:\n got %s\nwant %s", got, want)
	}
}

// HopOf returns a copy.
func TestHopOfCopies(t *testing.T) {
	s := state()
	got := control.HopOf(&s)
	s.Warnings[0] = "another"
	if got.Warnings[0] != "w" {
		t.Errorf("warning %q, want w", got.Warnings[0])
	}
}

func TestProtected(t *testing.T) {
	of := func(peer string, protected ...bool) (states []hop.State) {
		for _, p := range protected {
			states = append(states, hop.State{Peer: peer, Protected: p})
		}
		return states
	}
	for _, tt := range []struct {
		name       string
		protection trust.Protection
		states     []hop.State
		want       bool
	}{
		{"none is required", trust.ProtectionNone, nil, false},
		{"ipsec, not looked at yet", trust.ProtectionIPsec, nil, false},
		{"ipsec, only another peer's hop", trust.ProtectionIPsec, of("other", true), false},
		{"ipsec, one hop", trust.ProtectionIPsec, of("kea", true), true},
		{"ipsec, one hop without", trust.ProtectionIPsec, of("kea", false), false},
		{"ipsec, the second hop without", trust.ProtectionIPsec, of("kea", true, false), false},
		{"ipsec, another peer's hop without", trust.ProtectionIPsec, append(of("kea", true), of("other", false)...), true},
	} {
		p := trust.Peer{Name: "kea", Protection: tt.protection}
		if got := control.Protected(&p, tt.states); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Each answer that names a peer has the hops of that peer, and no other ones.
func TestHopsOfPeers(t *testing.T) {
	other := hop.State{Hop: "other", Peer: "other"}
	all := []hop.State{other, state()}
	s := state()
	want := []api.Hop{control.HopOf(&s)}
	p := trust.Peer{Name: "kea", Role: trust.Server, Protection: trust.ProtectionIPsec}
	v := peers.View{Name: "kea"}
	peer := control.PeerOf(&p, &v, all)
	summary, guarded := peer.Summary(), control.ProtectionOf(&p, all)
	for what, got := range map[string]struct {
		protected bool
		hops      []api.Hop
	}{
		"peer":    {peer.Protected, peer.Hops},
		"summary": {summary.Protected, summary.Hops},
		"guard":   {guarded.Protected, guarded.Hops},
	} {
		if diff := cmp.Diff(want, got.hops, values); diff != "" || !got.protected {
			t.Errorf("%s: protected %v, want true; hops (-want +got):\n%s", what, got.protected, diff)
		}
	}
	if guarded.Name != "kea" || guarded.Role != "server" || guarded.Protection != "ipsec" {
		t.Errorf("guard's peer: %+v", guarded)
	}
}

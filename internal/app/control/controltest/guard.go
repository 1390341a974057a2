package controltest

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
)

// FakeGuard is a GuardBackend that holds what it was given.
type FakeGuard struct {
	Feed *control.Feed

	Mu        sync.Mutex // guards all following fields
	Overview  api.GuardStatus
	Reloaded  api.ReloadResult // what Reload answers
	ReloadErr error            // if set, instead
	Deeds     []string         // "reload by alice (uid ...)"
	Fail      error            // what every question is answered with, if set
}

var _ control.GuardBackend = (*FakeGuard)(nil)

// NewGuard is the guard of a DHCPv4 server with two relays, of which one has two
// addresses, and a relay in clear by the operator's word.
func NewGuard() *FakeGuard {
	return &FakeGuard{Feed: control.NewFeed(), Overview: guardStatus()}
}

func guardStatus() api.GuardStatus {
	return api.GuardStatus{
		Version: "1.2.3", Started: Start, Uptime: api.Lifetime(76*time.Hour + 5*time.Minute),
		Config: api.ConfigStatus{Path: "/etc/fairlead/guard.yaml", Loaded: Start.Add(time.Hour)},
		Peers: []api.PeerProtection{
			{
				Name: "attic", Role: "relay", Protection: "ipsec", Protected: true,
				Hops: []api.Hop{ManualHop("attic", "192.0.2.1"), ManualHop("attic+1", "192.0.2.2")},
			},
			{Name: "cellar", Role: "relay", Protection: "none"},
		},
		Strangers: api.Traffic{Packets: 5, Bytes: 1500},
	}
}

// IKEHop is a hop of a peer by the same name that is protected by IKE.
func IKEHop(peer string) api.Hop {
	return api.Hop{
		Name: peer, Mode: "ike psk", Local: netip.MustParseAddr("2001:db8:ffff::1"), Remote: netip.MustParseAddr("2001:db8:ffff::547"),
		Protected: true, Algorithms: "AES_GCM_16-256", Age: api.Lifetime(12*time.Minute + 5*time.Second),
		HopFigures: api.HopFigures{
			In: api.Traffic{Packets: 71, Bytes: 7100}, Out: api.Traffic{Packets: 72, Bytes: 7200}, Rekeys: 3,
			DroppedIn: api.Traffic{Packets: 73, Bytes: 7300}, DroppedOut: api.Traffic{Packets: 74, Bytes: 7400},
		},
		LastError: "negotiation: NO_PROPOSAL_CHOSEN", LastErrorAt: Start.Add(time.Minute),
	}
}

// ManualHop is a protected hop with keys by hand, towards this address.
func ManualHop(name, remote string) api.Hop {
	return api.Hop{
		Name: name, Mode: "manual", Local: netip.MustParseAddr("192.0.2.67"), Remote: netip.MustParseAddr(remote),
		Protected: true, Algorithms: "aes256-sha256", Age: api.Lifetime(40 * 24 * time.Hour),
		HopFigures: api.HopFigures{In: api.Traffic{Packets: 81, Bytes: 8100}, Out: api.Traffic{Packets: 82, Bytes: 8200}},
		Warnings:   []string{"replayed packets are not noticed with manual keys"},
	}
}

// Status is Overview.
func (f *FakeGuard) Status(context.Context) (api.GuardStatus, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.Overview, f.Fail
}

// Reload answers Reloaded or ReloadErr, which Force has it do without.
func (f *FakeGuard) Reload(_ context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Deeds = append(f.Deeds, "reload by "+who)
	return reloaded(f.Reloaded, f.ReloadErr, r)
}

// Watch hands out what is put into Feed.
func (f *FakeGuard) Watch(ctx context.Context, _ api.Filter) (<-chan api.Event, error) {
	return f.Feed.Subscribe(ctx, func(*api.Event) bool { return true })
}

// Routes are the paths that the guard answers.
func (f *FakeGuard) Routes() []control.Route {
	return append(control.Guard(f), control.Process(f)...)
}

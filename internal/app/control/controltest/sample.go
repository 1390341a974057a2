package controltest

import (
	"net/netip"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
)

// Start is when the sample relay started.
var Start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// Clients of the sample relay.
const (
	Alice = api.Identifier("\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x01")
	Bob   = api.Identifier("\x00\x01\x00\x01\x2a\x2b\x2c\x2d\x02\x00\x5e\x10\x00\x02")
)

// New is a relay with two links, two servers, three delegations and a past.
func New() *Fake {
	return &Fake{
		Feed:     control.NewFeed(),
		Figures:  figures(),
		Overview: overview(),
		LinkList: links(),
		PeerList: peers(),
		Of4:      relay4(),
		Served:   server6(),
		Heard: []api.RelayAgent{
			{
				Peer: "access1", Nearest: true, RelayID: "\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x01", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:ffff::7")}, LinkAddresses: []netip.Addr{},
				Hops: 1, First: Start, Last: Start.Add(time.Hour), Messages: 9,
			},
			{
				Peer: "access1", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:aaaa::1")}, LinkAddresses: []netip.Addr{netip.MustParseAddr("2001:db8:8::1"), netip.MustParseAddr("2001:db8:8::2")},
				First: Start, Last: Start.Add(time.Minute), Messages: 8,
			},
			{Peer: "access2", RelayID: "\x00\x02lightweight", Addresses: []netip.Addr{}, LinkAddresses: []netip.Addr{}, First: Start, Last: Start, Messages: 1},
		},
		Live:    live(),
		Live4:   live4(),
		Past:    past(),
		Blocked: []api.Block{{Link: "br-cust9"}, {Prefix: netip.MustParsePrefix("2001:db8:40ff::/56"), Client: Bob}},
	}
}

func overview() api.Status {
	return api.Status{
		Version: "1.2.3", Started: Start, Uptime: api.Lifetime(76*time.Hour + 5*time.Minute),
		Roles:   []string{"relay4", "relay6"},
		RelayID: "\x00\x04\x7d\x44\x48\x40\x9d\xc0\x11\xd1\xb2\x45\x5f\xfd\xce\x74\xfa\xd2", RelayIDv4: "old relay",
		Config: api.ConfigStatus{Path: "/etc/fairlead/fairlead.yaml", Loaded: Start.Add(time.Hour)},
		Clock:  api.ClockStatus{Clock: api.Clock{Synchronised: true, State: "ok", OffsetNanos: 1500, MaxErrorMicros: 16000}},
		Store:  api.StoreStatus{Healthy: true, DiskBytes: 3 << 20, Commits: 120},
		Host: api.HostStatus{
			HostCounts:     api.HostCounts{Links: 2, Delegations: 3, Routes: 4, StandIns: 1, Elements: 12, Unproved: 1},
			LastComparison: Start.Add(2 * time.Hour),
		},
		Peers: []api.PeerSummary{
			{PeerProtection: api.PeerProtection{Name: "kea1", Role: "server", Protection: "none"}, Answered: true},
			{PeerProtection: api.PeerProtection{Name: "kea2", Role: "server", Protection: "none"}, SilentSince: Start.Add(3 * time.Hour)},
		},
		Totals: api.Totals{
			Figures:      api.Figures{Links: 3, Prefixes: 2, Addresses: 1, Neighbours: 7, ServerUnicast: 1},
			Progress:     api.Progress{Pending: 1},
			UnknownDrops: 2, Refusals: 4,
		},
		Refusals: map[string]uint64{"limit-link": 3, "overlap": 1},
		Relay4:   &api.Relay4Totals{Links: 2, Received: 9, Delivered: 6, Dropped: 1, Leases: 3},
		Degraded: []string{},
	}
}

func links() []api.Link {
	return []api.Link{
		{
			Name: "br-cust7", Index: 7, ClientFacing: true, Up: true, Running: true, Shared: true,
			MTU: 1500, LinkLayer: "02:00:5e:00:53:07", Table: 254,
			Addresses:   []netip.Prefix{netip.MustParsePrefix("2001:db8:7::1/64")},
			LinkAddress: netip.MustParseAddr("2001:db8:7::1"), InterfaceID: "br-cust7",
			LinkFigures: api.LinkFigures{Limit: 4096, Prefixes: 2, Assigned: 1},
			Counters: api.LinkCounters{
				Received:   map[string]uint64{"solicit": 5, "request": 3},
				Delivered:  map[string]uint64{"advertise": 5, "reply": 3},
				Drops:      map[string]uint64{"malformed": 2, "server-message": 1},
				LinkCounts: api.LinkCounts{Refused: 4, SensitiveOmitted: 6, AssignmentsRefused: 5}, Spoofed: 7,
			},
			LastSpoofed: &api.SpoofedSource{Source: netip.MustParseAddr("2001:db8:666::1"), LinkLayer: "02:00:5e:10:00:09", Seen: Start.Add(time.Hour)},
		},
		{
			Name: "eth0", Index: 2, Up: true, Running: true, MTU: 1500, LinkLayer: "02:00:5e:00:53:02", Table: 254,
			Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8:ffff::1/64")},
			Counters:  noCounts(),
		},
		{
			Name: "ppp0", Index: 9, ClientFacing: true, Up: true, PointToPoint: true, MTU: 1492, VRF: "red", Table: 1001,
			Addresses: []netip.Prefix{}, InterfaceID: "ppp0", LinkFigures: api.LinkFigures{Limit: 8}, Counters: noCounts(),
		},
	}
}

func relay4() api.Relay4 {
	counters := api.Relay4Counters{
		Received: map[string]uint64{"discover": 5, "request": 4}, Delivered: map[string]uint64{"offer": 4, "ack": 2}, Drops: map[string]uint64{"hop-limit": 1},
		Relay4Counts: api.Relay4Counts{AgentInformationOmitted: 1, SensitiveOmitted: 2, NotEchoed: 3, VSSIgnored: 4},
	}
	none := api.Relay4Counters{Received: map[string]uint64{}, Delivered: map[string]uint64{}, Drops: map[string]uint64{}}
	return api.Relay4{
		RelayID: "old relay", Relay4Counters: counters,
		Relay4Leases: api.Relay4Leases{Leases: 3, Unkept: 1, WaitForClock: 2, Events: map[string]uint64{"granted": 7, "ended": 4}, Ends: map[string]uint64{"released": 4}, Refusals: map[string]uint64{"limit-link": 4}},
		Links: []api.Relay4Link{
			{
				Name: "br-cust7", Up: true, Trusted: true, GIAddr: netip.MustParseAddr("192.0.2.1"), CircuitID: "br-cust7", Leases: 3, Filter: "strict", Spoofed: 2,
				LastSpoofed: &api.SpoofedSource{Source: netip.MustParseAddr("192.0.2.66"), LinkLayer: "02:00:5e:10:00:09", Seen: Start.Add(time.Hour)}, Relay4Counters: counters,
			},
			{Name: "eth7", VRF: "red", Filter: "off", Relay4Counters: none},
		},
	}
}

func server6() api.Server6 {
	counters := api.Server6Counters{
		Received: map[string]uint64{"Solicit": 5, "Request": 4}, Sent: map[string]uint64{"Advertise": 5, "Reply": 4}, Drops: map[string]uint64{"no-subnet": 1},
	}
	return api.Server6{
		Agents: 3, AgentsForgotten: 5, ServerID: "\x00\x04\x7d\x44\x48\x40\x9d\xc0\x11\xd1\xb2\x45\x5f\xfd\xce\x74\xfa\xd2", Server6Counters: counters,
		Server6Leases: api.Server6Leases{
			Prefixes: 2, Addresses: 3, Declined: 1, Untold: 3, Unkept: 1, WaitForClock: 2,
			Events: map[string]uint64{"granted": 7, "ended": 2}, Ends: map[string]uint64{"released": 2}, Refusals: map[string]uint64{"limit-client": 4},
		},
		Links: []api.Server6Link{
			{Name: "br-lan", Up: true, Network: "2001:db8:1::/64", Prefixes: 2, Addresses: 1, Server6Counters: counters},
			{Name: "eth8", VRF: "red", Server6Counters: api.Server6Counters{Received: map[string]uint64{}, Sent: map[string]uint64{}, Drops: map[string]uint64{}}},
		},
		Pools: []api.Server6Pool{
			{Network: "2001:db8:1::/64", Subnet: netip.MustParsePrefix("2001:db8:1::/64"), First: netip.MustParseAddr("2001:db8:1::1000"), Last: netip.MustParseAddr("2001:db8:1::1fff"), Size: 4096, Taken: 3},
			{Network: "2001:db8:1::/64", Subnet: netip.MustParsePrefix("2001:db8:1::/64"), Prefix: netip.MustParsePrefix("2001:db8:4000::/40"), Size: 65536, Taken: 2},
		},
	}
}

// why has a lease that is held and two that are not, and one that is reserved.
func why() api.WhyLink {
	pools := server6().Pools
	return api.WhyLink{
		Link: "br-lan", Network: "2001:db8:1::/64", Subnet: netip.MustParsePrefix("2001:db8:1::/64"), Leased: true, Classes: []string{"voip"}, TakenToBeBehind: true,
		Reservation: &api.Reservation{RemoteID: &api.RemoteID{Enterprise: 32473, ID: "port7"}, Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:1::5")}},
		Registered:  []netip.Prefix{netip.MustParsePrefix("2001:db8:1::abcd/128")},
		IAs: []api.WhyIA{
			{
				Kind: "address", IAID: api.IAID{ID: 1, Known: true},
				Leases: []api.WhyLease{
					{Prefix: netip.MustParsePrefix("2001:db8:1::5/128"), Subnet: netip.MustParsePrefix("2001:db8:1::/64"), By: "reserved"},
					{Prefix: netip.MustParsePrefix("2001:db8:1::1003/128"), Pool: pools[0].Name(), Refused: "another-is-reserved"},
				},
				Pools: []api.WhyPool{{Server6Pool: pools[0]}},
			},
			{
				Kind: "prefix", IAID: api.IAID{ID: 2, Known: true},
				Leases: []api.WhyLease{{Prefix: netip.MustParsePrefix("2001:db8:4000:100::/56"), Subnet: netip.MustParsePrefix("2001:db8:1::/64"), Pool: pools[1].Name(), By: "held"}},
				Pools:  []api.WhyPool{{Server6Pool: pools[1], Class: "voip", Gives: true}},
			},
		},
	}
}

// whyNot is of a client without leases, which gets nothing.
func whyNot(q *api.WhyQuestion) api.WhyLink {
	pools := server6().Pools
	w := api.WhyLink{Link: "eth8"}
	if q.LinkAddress.IsValid() {
		w = api.WhyLink{
			Link: "network/campus", Network: "campus", Subnet: netip.MustParsePrefix("2001:db8:1::/64"), Excludes: true,
			IAs: []api.WhyIA{
				{Kind: "address", IAID: api.IAID{ID: 1, Known: true}, Leases: []api.WhyLease{}, Pools: []api.WhyPool{{Server6Pool: pools[0], Refused: "full"}}},
				{Kind: "prefix", IAID: api.IAID{ID: 1, Known: true}, Limit: "limit-client", Leases: []api.WhyLease{}, Pools: []api.WhyPool{}},
			},
		}
		if q.Prefix.IsValid() {
			w.Refused = "declined"
		}
	}
	return w
}

func noCounts() api.LinkCounters {
	return api.LinkCounters{Received: map[string]uint64{}, Delivered: map[string]uint64{}, Drops: map[string]uint64{}}
}

func peers() []api.Peer {
	return []api.Peer{
		{
			PeerProtection: api.PeerProtection{Name: "kea1", Role: "server", Protection: "none"}, Address: netip.MustParseAddr("2001:db8:ffff::547"), Interfaces: []string{"eth0"},
			PeerCounters: api.PeerCounters{Sent: 8, Received: 8, LastReceived: Start.Add(3 * time.Hour)}, LastType: "Relay-reply",
			Answered: true, Preferred: true,
		},
		{
			PeerProtection: api.PeerProtection{Name: "kea2", Role: "server", Protection: "none"}, Address: netip.MustParseAddr("ff05::1:3%eth0"), Interfaces: []string{"eth0", "eth1*"},
			PeerCounters: api.PeerCounters{Sent: 3, SinceAnswer: 3},
		},
	}
}

func live() []api.Delegation {
	hop := netip.MustParseAddr("fe80::5eff:fe10:1")
	return []api.Delegation{
		{
			Prefix: netip.MustParsePrefix("2001:db8:4000::/56"), Kind: "prefix", Link: "br-cust7", Client: Alice, IAID: api.IAID{ID: 1, Known: true},
			NextHop: hop, LinkLayer: "02:00:5e:10:00:01", Preferred: api.Lifetime(45 * time.Minute), Valid: api.Lifetime(time.Hour),
			Expires: Start.Add(4 * time.Hour), Lifetime: api.Lifetime(2 * time.Hour), Server: "kea1", Source: "reply",
			Granted: Start, Changed: Start.Add(2 * time.Hour),
		},
		{
			Prefix: netip.MustParsePrefix("2001:db8:4100::/56"), Kind: "prefix", Link: "br-cust7", Client: Alice, IAID: api.IAID{ID: 4294967295, Known: true},
			NextHop: hop, LinkLayer: "02:00:5e:10:00:01", Preferred: api.Infinite, Valid: api.Infinite,
			Lifetime: api.Infinite, Server: "kea1", Source: "store", Granted: Start, Changed: Start,
		},
		{
			Prefix: netip.MustParsePrefix("2001:db8:5000::17/128"), Kind: "address", Link: "ppp0", Client: Bob, IAID: api.IAID{ID: 2, Known: true},
			NextHop: netip.MustParseAddr("fe80::2"), Preferred: 0, Valid: api.Lifetime(59 * time.Second),
			Expires: Start.Add(time.Minute), Lifetime: api.Lifetime(time.Hour), Server: "kea1", Source: "reply",
			Granted: Start, Changed: Start, Unproved: true,
		},
	}
}

func live4() []api.Delegation {
	lease := func(address string, client api.Identifier, linkLayer, link, vrf string, valid api.Lifetime) api.Delegation {
		a := netip.MustParseAddr(address)
		return api.Delegation{
			Prefix: netip.PrefixFrom(a, 32), Kind: "address", Link: link, VRF: vrf, Client: client, NextHop: a, LinkLayer: linkLayer,
			Preferred: valid, Valid: valid, Expires: Start.Add(time.Duration(valid)), Lifetime: api.Lifetime(time.Hour), Server: "kea1", Source: "reply", Granted: Start, Changed: Start,
		}
	}
	return []api.Delegation{
		lease("192.0.2.7", "\x01\x02\x00\x5e\x10\x00\x01", "02:00:5e:10:00:01", "br-cust7", "", api.Lifetime(45*time.Minute)),
		lease("192.0.2.8", "\xff\x10\x00\x00\x02\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x02", "", "eth7", "red", api.Lifetime(59*time.Second)),
	}
}

func past() []api.HistoryEntry {
	entry := func(prefix string, client api.Identifier, granted, ended time.Time, reason string) api.HistoryEntry {
		return api.HistoryEntry{
			Prefix: netip.MustParsePrefix(prefix), Kind: "prefix", Link: "br-cust7", Client: client, IAID: api.IAID{ID: 1, Known: true},
			NextHop: netip.MustParseAddr("fe80::1"), Server: "kea1", Granted: granted, Ended: ended, Reason: reason,
		}
	}
	return []api.HistoryEntry{
		entry("2001:db8:4000::/56", Alice, Start, time.Time{}, ""),
		entry("2001:db8:4000::/56", Bob, Start.Add(-48*time.Hour), Start.Add(-time.Hour), "expired"),
		entry("2001:db8:4200::/56", Bob, Start.Add(-96*time.Hour), Start.Add(-72*time.Hour), "cleared"),
	}
}

func figures() api.Counters {
	o := overview()
	l, p := links(), peers()
	l[0].ClientLimit, l[0].HostLimit, l[0].Use = 8, 16, api.Use{ClientMost: 8, ClientsFull: 2, HostMost: 11}
	l[1].Counters = api.LinkCounters{Drops: map[string]uint64{"untrusted-server": 9}}
	l[2].ClientLimit = 8
	p[1].Unreachable, p[1].SilentSince = 2, Start.Add(3*time.Hour)
	return api.Counters{
		Version: o.Version, RelayID: o.RelayID, RelayIDv4: o.RelayIDv4, Started: o.Started, Clock: o.Clock, Store: o.Store, Host: o.Host, Totals: o.Totals,
		Links: l, Peers: p,
		Unknown: map[string]uint64{"unknown-link": 2},
		Sum: api.TrafficCounts{
			Received:  map[string]uint64{"solicit": 5, "request": 3, "renew": 0},
			Delivered: map[string]uint64{"advertise": 5, "reply": 3},
			Drops:     map[string]uint64{"malformed": 2, "server-message": 1, "unknown-link": 2, "untrusted-server": 9, "limit": 0},
			Refusals:  map[string]uint64{"limit-link": 3, "overlap": 1, "blocked": 0},
		},
		FilterDrops: map[string]uint64{"spoofed": 11, "spoofed-link-layer": 12, "looped": 13, "looped-rejected": 14, "past-relay": 15},
		Socket: api.SocketCounters{
			Received: map[string]uint64{"frame": 21, "socket": 22}, Sent: map[string]uint64{"frame": 23, "socket": 24},
			Drops: map[string]uint64{"bad-checksum": 25},
		},
		Hook:         api.HookCounters{Succeeded: 31, Failed: 32, Dropped: 33, Waiting: 34},
		Config:       api.ConfigCounters{ConfigStatus: o.Config, Reloads: 41, ReloadsRefused: 42, LastReload: Start.Add(time.Hour)},
		HostFindings: map[string]uint64{"missing": 51},
		Panics:       61, EventsLost: 62, Degraded: 1,
	}
}

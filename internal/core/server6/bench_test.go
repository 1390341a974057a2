package server6_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// relayed is a server that hears one relay agent, and a Solicit for a prefix that came through that.
func relayed(tb testing.TB) (*server6.Server, *inbound.Packet, *effect.Effects) {
	tb.Helper()
	const uplink = 2
	agent, local := netip.MustParseAddr("2001:db8:1::2"), netip.MustParseAddr("2001:db8:1::1")
	core := server6.New(&server6.Config{
		ServerID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 0xff},
		Peers: []trust.Peer{{
			Name: "agent", Address: agent, Prefix: netip.PrefixFrom(agent, 128), Local: local, Role: trust.Relay,
			Interfaces: []string{"up0"}, Protection: trust.ProtectionNone,
		}},
		Networks: []server6.Network{{Name: "2001:db8:1::/64", Subnets: []server6.Subnet{{
			Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Lifetimes: server6.Lifetimes{Preferred: 2000, Valid: 3000},
			PDPools: []server6.PrefixPool{{Prefix: netip.MustParsePrefix("2001:db8:4000::/34"), Length: 60, Min: 60, Max: 60}},
		}}}},
	}, "boot")
	var eff effect.Effects
	core.SetLink(links.Link{
		Index: uplink, Name: "up0", Up: true, Running: true, MTU: 1500, HardwareType: 1, Table: hoststate.MainTable,
		Addrs: []netip.Prefix{netip.PrefixFrom(local, 64)},
	}, &eff)
	eff.Reset()
	b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, agent, netip.MustParseAddr("fe80::1"))
	b, message := dhcp6.BeginOption(b, dhcp6.OptionRelayMessage)
	b = dhcp6.AppendMessageHeader(b, dhcp6.Solicit, 1)
	b = dhcp6.AppendClientID(b, dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1})
	b, ia := dhcp6.BeginIA(b, dhcp6.OptionIAPD, 1, 0, 0)
	for _, mark := range []int{ia, message} {
		var err error
		if b, err = dhcp6.EndOption(b, mark); err != nil {
			tb.Fatal(err)
		}
	}
	return core, &inbound.Packet{Link: uplink, Source: netip.AddrPortFrom(agent, dhcp6.ServerPort), Dest: local, Payload: b}, &eff
}

var noon = instant.Now{Boot: instant.Instant(time.Hour), Wall: time.Unix(1_800_000_000, 0), Synced: true}

// A flood of Solicits costs no memory.
func TestSolicitAllocatesNothing(t *testing.T) {
	core, p, eff := relayed(t)
	allocated := testing.AllocsPerRun(100, func() {
		eff.Reset()
		core.Handle(noon, p, eff)
	})
	if len(eff.Sends) != 1 {
		t.Fatalf("%d answers to a Solicit, want one; drops: %v", len(eff.Sends), eff.Drops)
	}
	if allocated != 0 {
		t.Errorf("%v allocations for a Solicit and its Advertise, want none", allocated)
	}
}

// BenchmarkSolicitAnswered is a Solicit, and the Advertise to it.
func BenchmarkSolicitAnswered(b *testing.B) {
	core, p, eff := relayed(b)
	b.ReportAllocs()
	for b.Loop() {
		eff.Reset()
		core.Handle(noon, p, eff)
	}
}

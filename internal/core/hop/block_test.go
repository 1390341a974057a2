package hop_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

func blocksOf(o hop.Owner, h hop.Hop) (all []string) {
	for _, p := range o.BlockPolicies(&h) {
		all = append(all, fmt.Sprintf("out=%v %v.%d>%v.%d %d %s", p.Out, p.Source, p.SourcePort, p.Dest, p.DestPort, p.Protocol, p.Link))
	}
	return all
}

// Block policies are for the hop's traffic with the peer, both ways, whatever the
// local address: RFC 8213 3b.
func TestBlocks(t *testing.T) {
	server, relay := server6(), server6()
	server.RelayPort = 5470
	relay.Role = trust.Relay
	near := relay
	near.Local, near.Remote, near.Link = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2"), "lan0"
	four := server6()
	four.Local, four.Remote = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		name string
		h    hop.Hop
		want []string
	}{
		{"server", server, []string{
			"out=true ::/0.0>2001:db8::2/128.547 6 ", "out=false 2001:db8::2/128.547>::/0.0 6 ",
			"out=true ::/0.0>2001:db8::2/128.547 17 ", "out=false 2001:db8::2/128.0>::/0.547 17 ",
			"out=true ::/0.0>2001:db8::2/128.5470 17 ", "out=false 2001:db8::2/128.0>::/0.5470 17 ",
		}},
		{"relay", relay, []string{
			"out=true ::/0.547>2001:db8::2/128.0 6 ", "out=false 2001:db8::2/128.0>::/0.547 6 ",
			"out=true ::/0.0>2001:db8::2/128.547 17 ", "out=false 2001:db8::2/128.0>::/0.547 17 ",
		}},
		{"link-local", near, []string{
			"out=true fe80::/127.547>fe80::2/128.547 17 lan0", "out=false fe80::2/128.547>fe80::/127.547 17 ",
			"out=true fe80::/127.547>fe80::2/128.0 6 lan0", "out=false fe80::2/128.0>fe80::/127.547 6 ",
		}},
		{"IPv4", four, []string{
			"out=true 0.0.0.0/0.0>192.0.2.2/32.67 6 ", "out=false 192.0.2.2/32.67>0.0.0.0/0.0 6 ",
			"out=true 0.0.0.0/0.0>192.0.2.2/32.67 17 ", "out=false 192.0.2.2/32.0>0.0.0.0/0.67 17 ",
		}},
	} {
		if got := blocksOf(hop.OwnerRelay, c.h); !slices.Equal(got, c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// They cover all that is to be in ESP, and have no selector of a policy with a
// template: the kernel would take the one for the other.
func TestBlocksCoverAndDoNotCollide(t *testing.T) {
	for _, role := range []trust.PeerRole{trust.Server, trust.Relay} {
		for _, link := range []string{"", "lan0"} {
			h := manual6(hop.AES256SHA256, 1)
			h.Role, h.RelayPort, h.Link = role, 1547, link
			if link != "" {
				h.Local, h.Remote = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
			}
			blocks := hop.OwnerRelay.BlockPolicies(&h)
			for _, p := range hop.OwnerRelay.Policies(&h) {
				covered := slices.ContainsFunc(blocks, func(b hop.Policy) bool {
					return b.Out == p.Out && b.Protocol == p.Protocol && b.Link == p.Link && b.Source.Contains(p.Source.Addr()) && b.Dest.Contains(p.Dest.Addr()) &&
						(b.SourcePort == 0 || b.SourcePort == p.SourcePort) && (b.DestPort == 0 || b.DestPort == p.DestPort)
				})
				collides := slices.ContainsFunc(blocks, func(b hop.Policy) bool { return b.Source == p.Source && b.Dest == p.Dest })
				if !covered || collides {
					t.Errorf("%v: covered %v, collides %v", p, covered, collides)
				}
			}
		}
	}
	if hop.OwnerRelay.BlockPolicyPriority() <= hop.ManualPriority || hop.OwnerRelay.BlockPolicyPriority() == hop.OwnerGuard.BlockPolicyPriority() {
		t.Error("the priority is not an owner's, behind all others")
	}
}

package hop

import (
	"fmt"
	"net/netip"
	"strings"
)

// The second barrier are policies of XFRM that block: they discard, both ways, the traffic
// for which no other policy requires ESP. They do not depend on nftables, and a flush of
// nftables does not remove them.
//
// Every policy of strongSwan, of manual keys and of administrators has precedence over
// them: the kernel takes the matching policy with the smallest priority number, and the
// block policies have the largest that we use. The kernel allows one policy for each
// selector, whatever the priority. So each block policy is for more than one local
// address, and never has the same selector as a policy for a pair of addresses.

// BlockPolicyPriority is the priority of an owner's block policies, and marks them as the
// owner's: they have no template, and so no request id.
func (o Owner) BlockPolicyPriority() uint32 { return o.Reqid() }

// BlockPolicies are a hop's block policies. They stop the same traffic as the guard table:
// UDP to and from the peer at one of the hop's ports, whatever the local address and the
// other port, and connections for leasequery.
//
// Between link-local addresses they are for both ports, and on input for the pair of
// addresses but for the last bit of ours: the kernel compares no interface there, and
// another host may have the same address on another link.
func (o Owner) BlockPolicies(h *Hop) []Policy {
	remote, local := host(h.Remote), netip.PrefixFrom(h.Local, 0).Masked()
	if h.Link != "" {
		local = netip.PrefixFrom(h.Local, h.Local.BitLen()-1).Masked()
	}
	var all []Policy
	add := func(out bool, protocol uint8, ours, theirs uint16) {
		p := Policy{Hop: h.Name, Out: out, Source: remote, Dest: local, Protocol: protocol, SourcePort: theirs, DestPort: ours}
		if out {
			p.Source, p.Dest, p.SourcePort, p.DestPort, p.Link = local, remote, ours, theirs, h.Link
		}
		all = append(all, p)
	}
	for _, s := range h.Selectors() {
		if s.Protocol == UDP && h.Link == "" {
			continue
		}
		add(true, s.Protocol, s.Local, s.Remote)
		add(false, s.Protocol, s.Local, s.Remote)
	}
	if h.Link == "" {
		for _, port := range h.ports() {
			add(true, UDP, 0, port)
			add(false, UDP, port, 0)
		}
	}
	return all
}

// BlockPolicyText is the block policies of hops, as commands of ip-xfrm(8).
func BlockPolicyText(o Owner, hops []Hop) string {
	var b strings.Builder
	seen := make(map[string]bool)
	for i := range hops {
		for _, p := range o.BlockPolicies(&hops[i]) {
			direction := "in"
			if p.Out {
				direction = "out"
			}
			line := fmt.Sprintf("ip xfrm policy add %s dir %s action block priority %d\n", p.selector(), direction, o.BlockPolicyPriority())
			if !seen[line] {
				seen[line] = true
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

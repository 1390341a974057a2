package hop

import (
	"fmt"
	"net/netip"
	"strings"
)

// The second barrier is policies of XFRM that block: what no other policy wants in
// ESP is thrown away, both ways. It does not know nftables, and a flush of nftables
// leaves it where it is.
//
// It gives way to every policy of strongSwan, of manual keys and of administrators:
// a kernel takes the matching policy with the smallest priority number, and these
// have the largest that we use. The kernel tells policies apart by their selectors
// alone, whatever their priority; so each of these is for more local addresses than
// one, and is never in the way of a policy for a pair of addresses.

// BlockPolicyPriority is the priority of an owner's block policies, and marks them as the
// owner's: they have no template, and so no request id.
func (o Owner) BlockPolicyPriority() uint32 { return o.Reqid() }

// BlockPolicies are a hop's block policies. They hold back what the guard table does: UDP
// to and from the peer at one of the hop's ports, whatever the local address and the
// other port, and connections for leasequery.
//
// Between link-local addresses they are for both ports, and on input for the pair of
// addresses but for the last bit of ours: the kernel compares no interface there,
// and the same address may be somebody else's on another link.
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

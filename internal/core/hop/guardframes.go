package hop

import "strconv"

// GuardLink is an interface of the host.
type GuardLink struct {
	Index int
	Name  string
}

// StopsFrames reports whether the owner's guard stops frames that programs send by packet
// sockets. The relay's does not: it sends to peers by UDP sockets alone, and to clients
// many frames by packet sockets.
func (o Owner) StopsFrames() bool { return o == OwnerGuard }

// FrameTable is the guard's second table, in family netdev: some DHCP programs answer by
// packet sockets, past XFRM and past GuardTable. This table sees their frames where they
// leave by a device. A packet that went through ESP is not UDP there any more, or has
// other ports, so a UDP datagram to a peer's address and port is in clear. (A device that
// does the whole of ESP itself would get packets in clear; we never ask for such an
// offload.)
//
//	egress of each link  UDP -> leaving
//	leaving              of a socket of this host, from or to a port -> outbound
//	outbound             to a peer's address and port: drop
//
// Forwarded and bridged packets have no socket of this host and are left alone, as in
// GuardTable. A frame passes each of its devices, a VLAN's and then the parent's; the
// first one drops it.
//
// Not seen are frames that have a VLAN tag when the program sends them, fragments
// after the first, which have no ports, and what goes past the queues of links
// (AF_XDP, PACKET_QDISC_BYPASS). No DHCP program is known to send any.
//
// A chain is named after the index of its link, so that an interface that is made
// anew under an old name is told from the old one.
func (o Owner) FrameTable(hops []Hop, links []GuardLink) GuardTable {
	g := newGuard(Netdev)
	for i := range hops {
		g.counter(CounterName(hops[i].Name, true))
		for _, p := range hops[i].ports() {
			g.port(ports, p)
			g.outgoing(&hops[i], p)
		}
	}
	ours := isNot(FieldUser, nobody)
	chains := []GuardChain{
		{Name: chainOutbound, Rules: g.clear(setOut, FieldDest4, FieldDest6, FieldLinkOut)},
		{Name: chainLeaving, Rules: []GuardRule{
			goTo(chainOutbound, in(ports, FieldDestPort), ours),
			goTo(chainOutbound, in(ports, FieldSourcePort), ours),
		}},
	}
	for _, l := range links {
		chains = append(chains, GuardChain{
			Name: chainLink + strconv.Itoa(l.Index), Hook: HookEgress, Device: l.Name, Priority: priorityLast,
			Rules: []GuardRule{goTo(chainLeaving, is(FieldProtocol, UDP))},
		})
	}
	return g.table(o, chains)
}

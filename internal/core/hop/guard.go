package hop

import (
	"math"
	"net/netip"
	"strings"

	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

// GuardTable is the whole content of an owner's guard table, in family inet: the
// part of RFC 8213 that fails closed. It knows nothing of strongSwan's policies,
// so it holds when they are missing.
//
//	output, postrouting  UDP and TCP of this host -> leaving -> outbound
//	outbound             comes into ESP: accept; to a peer's address and port: drop
//	output, postrouting  ICMP of this host -> quoting4, quoting6 -> quoted
//	quoted               an error to a peer that quotes a message of such a port: drop
//	input                UDP and TCP -> arriving -> inbound
//	inbound              came out of ESP -> senders; from a peer: drop; else -> senders
//	senders              relayed messages from nobody that is configured: drop
//
// The ports are compared first, so that a packet that is not DHCP costs two lookups. Peers
// are elements of hash maps, which also name the counter: a packet costs the same whether
// there is one peer or a thousand.
//
// What the guard does not do: it cannot tell from which SA a packet came (the kernel
// checks against the state's selector and the policy that it was the peer's own), nor
// which algorithms ESP uses. It does not see frames that programs write to packet sockets
// (FrameTable does) or read from them. It leaves forwarded packets alone. It does not see
// bridged packets, unless br_netfilter is loaded: then it takes them for the host's own.
//
// ICMP errors are stopped because they quote: where no program listens, the kernel answers
// a datagram that came in ESP with an error in clear that contains the message (RFC 4443
// section 3.1; RFC 1812 section 4.3.2.3). Quoted packets with IPv4 options or IPv6
// extension headers are not looked into: DHCP has none.
//
// A rule does not match if it cannot read a field, as where a datagram is cut off in its
// header. Rules are therefore ordered so that a packet is accepted by what proves it
// harmless, and all others are dropped.
type GuardTable struct {
	Family   TableFamily
	Name     string
	Counters []string
	Sets     []GuardSet
	Chains   []GuardChain
}

// TableFamily is the nftables family of a table.
type TableFamily uint8

// The families of tables: packets of IPv4 and IPv6 on their way through the
// stack, and frames that leave by a device.
const (
	Inet TableFamily = iota
	Netdev
)

// GuardSet is a set of addresses and ports. In a map each element has the name of
// a counter.
type GuardSet struct {
	Name     string
	Key      []GuardField // what the parts of an element are compared with
	Map      bool
	Elements []GuardElement
}

// GuardElement is an element. Only the parts that are in the set's key count.
type GuardElement struct {
	Link    string
	Address netip.Addr
	Port    uint16
	Counter string // of an element of a map
}

// Hook is where the kernel calls a chain; NoHook where other chains go to it.
type Hook uint8

// The hooks.
const (
	NoHook Hook = iota
	HookInput
	HookOutput
	HookPostrouting
	HookEgress // of a device, in Netdev
)

// GuardChain is a chain. Its policy is accept.
type GuardChain struct {
	Name     string
	Hook     Hook
	Device   string // of HookEgress
	Priority int32
	Rules    []GuardRule
}

// GuardRule is a rule: if all matches hold, count, then the verdict.
type GuardRule struct {
	Match   []GuardMatch
	Counter string // empty: none
	Verdict GuardVerdict
	Chain   string // of VerdictGoto
}

// GuardMatch compares fields with a set, or one field with a prefix, a link or a
// value: the first of these that is there. With Count the set is a map, and the
// counter of the element that is found counts.
type GuardMatch struct {
	Fields []GuardField
	Set    string
	Count  bool
	Prefix netip.Prefix
	Link   string
	Value  uint32
	Not    bool // another value
}

// GuardVerdict ends a rule.
type GuardVerdict uint8

// The verdicts.
const (
	VerdictAccept GuardVerdict = iota + 1
	VerdictDrop
	VerdictGoto
)

// GuardField is a field of a packet that a rule reads.
type GuardField uint8

// The fields.
const (
	FieldFamily          GuardField = iota + 1 // 1 octet: FamilyIPv4 or FamilyIPv6
	FieldEther                                 // 2 octets, in Netdev: EtherIPv4 or EtherIPv6
	FieldProtocol                              // 1 octet: UDP or TCP
	FieldSource4                               // 4 octets
	FieldDest4                                 // 4 octets
	FieldSource6                               // 16 octets
	FieldDest6                                 // 16 octets
	FieldSourcePort                            // 2 octets
	FieldDestPort                              // 2 octets
	FieldLinkIn                                // name of the input interface; the VRF's in a VRF
	FieldSlaveIn                               // name of the interface below it, in a VRF
	FieldLinkOut                               // name of the output interface
	FieldIndexIn                               // number of the input interface; 0: made by this host
	FieldUser                                  // user of the socket that sends; cannot be read without one
	FieldESPOut                                // 1 octet: 1 if the packet will be transformed
	FieldESPIn                                 // 1 octet: 1 if the packet was transformed
	FieldFirst                                 // first octet of a datagram's payload
	FieldGiaddr                                // 4 octets at offset 24 of a datagram's payload (RFC 2131 section 2)
	FieldICMPType                              // 1 octet, of ICMP and ICMPv6
	FieldQuotedProtocol4                       // 1 octet: of the packet without options that an ICMP error quotes
	FieldQuotedSource4                         // 2 octets: its source port
	FieldQuotedDest4                           // 2 octets: its destination port
	FieldQuotedProtocol6                       // the same of ICMPv6, of a packet without extension headers
	FieldQuotedSource6
	FieldQuotedDest6
)

// Values of FieldFamily.
const (
	FamilyIPv4 = 2
	FamilyIPv6 = 10
)

// Values of FieldEther.
const (
	EtherIPv4 = 0x0800
	EtherIPv6 = 0x86dd
)

// nobody is a user that no socket has.
const nobody = math.MaxUint32

// Priorities of the chains. On the way in the guard comes early, before a nat
// chain can change the source. On the way out it comes last: route and nat chains
// choose another route for a packet, and with it another policy or none. They do
// so at postrouting too (masquerade), after the output hook has let the packet
// pass; therefore the guard is at both.
const (
	priorityInput = -300
	priorityLast  = math.MaxInt32
)

// CounterStrangers is the counter of relayed messages from strangers.
const CounterStrangers = "strangers"

// CounterName is the guard's counter of a hop. The sign + of further addresses,
// which nft does not read, becomes a stroke, which no peer's name has.
func CounterName(hop string, out bool) string {
	direction := "in-"
	if out {
		direction = "out-"
	}
	return direction + strings.ReplaceAll(hop, "+", "/")
}

// GuardTable makes the owner's guard table. Where several hops have the same remote
// address (one for each giaddr of ours, say) the counter of the first one counts for all.
//
// With others, relayed messages from any address may come in: that is for a program that
// checks them itself. Without others, relayed messages of DHCPv6 (Relay-forward from a
// relay, Relay-reply from a server) and of DHCPv4 (requests with a giaddr from a relay,
// replies to a relay from a server) may come in only from the remote addresses of hops and
// of open peers, each by its role.
func (o Owner) GuardTable(hops []Hop, others bool, open ...Open) GuardTable {
	g := newGuard(Inet)
	for i := range hops {
		g.hop(&hops[i])
	}
	if !others {
		g.counter(CounterStrangers)
		g.port(ports, dhcp6.ServerPort)
		g.port(ports, dhcp4.ServerPort)
		g.port(ports6, dhcp6.ServerPort)
		g.port(ports4, dhcp4.ServerPort)
		for i := range hops {
			h := &hops[i]
			g.sender(h.Role, h.Remote, h.Link)
			if h.Role == trust.Server && h.RelayPort != 0 {
				g.port(relayedPorts(h.Local), h.RelayPort)
			}
		}
		for _, p := range open {
			if _, ok := p.wide(); ok {
				g.wide = append(g.wide, p)
			} else {
				g.sender(p.Role, p.Address, p.Link)
			}
		}
	}
	return g.table(o, g.chains(others))
}

// Open is a peer that is configured to be heard in clear. A prefix wider than an
// address costs a rule of its own.
type Open struct {
	Role    trust.PeerRole
	Address netip.Addr   // if multicast: any host on the link
	Prefix  netip.Prefix // of the addresses that count as this peer; invalid: Address alone
	Link    string       // interface of a link-local or multicast address, else empty
}

// wide is the prefix of a peer that is more than one address.
func (p Open) wide() (w netip.Prefix, ok bool) {
	if p.Address.IsMulticast() {
		return netip.PrefixFrom(p.Address, 0).Masked(), true
	}
	return p.Prefix.Masked(), p.Prefix.IsValid() && !p.Prefix.IsSingleIP()
}

// GuardText is the guard as nft reads it: a transaction that makes the table
// anew, whatever was in it.
func GuardText(o Owner, hops []Hop, others bool, open ...Open) string {
	t := o.GuardTable(hops, others, open...)
	return t.String()
}

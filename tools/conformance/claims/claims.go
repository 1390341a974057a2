// Package claims has what Fairlead claims about its RFCs: the sentences that require something of
// it, and for each requirement of RFC 8987 a small mutation of the code that its tests must
// notice. The evidence is not here but in the tests, which tools/conformance finds by their names
// and comments.
package claims

// Row is one requirement.
type Row struct {
	ID    string // as in the document, such as "G-1"; else the section and a letter that counts its sentences
	Level string // MUST, SHOULD, MAY and the like, or "states" for a sentence without such a word
	Text  string // the sentence, shortened
	Note  string // what a reader should know; a note that begins with "to come" or "not done" says that the row is not claimed
}

// Table is the rows of one document.
type Table struct {
	RFC     string // "8987"
	Title   string // title of the table, such as "RFC 8987"
	Rows    []Row
	Counted int // how many rows, from the first one, the line above the table counts
}

// Tables returns all tables, in the order of the document.
func Tables() []Table {
	return []Table{
		{RFC: "8987", Title: "RFC 8987", Rows: rfc8987, Counted: 20},
		{RFC: "8415", Title: "RFC 8415 section 19", Rows: rfc8415, Counted: len(rfc8415)},
		{RFC: "8415", Title: "RFC 8415, the server", Rows: rfc8415server, Counted: len(rfc8415server)},
		{RFC: "6603", Title: "RFC 6603, the side of the delegating router", Rows: rfc6603, Counted: len(rfc6603)},
		{RFC: "8168", Title: "RFC 8168, the server", Rows: rfc8168, Counted: len(rfc8168)},
		{RFC: "7550", Title: "RFC 7550, the server", Rows: rfc7550, Counted: len(rfc7550)},
		{RFC: "8213", Title: "RFC 8213", Rows: rfc8213, Counted: len(rfc8213)},
		{RFC: "8221", Title: "RFC 8221 section 3, manual keying", Rows: rfc8221, Counted: len(rfc8221)},
		{RFC: "1542", Title: "RFC 1542, the relay agent", Rows: rfc1542, Counted: len(rfc1542)},
		{RFC: "2131", Title: "RFC 2131, the relay agent", Rows: rfc2131, Counted: len(rfc2131)},
		{RFC: "3046", Title: "RFC 3046, the relay agent", Rows: rfc3046, Counted: len(rfc3046)},
		{RFC: "3118", Title: "RFC 3118, the relay agent", Rows: rfc3118, Counted: len(rfc3118)},
		{RFC: "3527", Title: "RFC 3527, the relay agent", Rows: rfc3527, Counted: len(rfc3527)},
		{RFC: "3993", Title: "RFC 3993, the relay agent", Rows: rfc3993, Counted: len(rfc3993)},
		{RFC: "5010", Title: "RFC 5010, the relay agent", Rows: rfc5010, Counted: len(rfc5010)},
		{RFC: "5107", Title: "RFC 5107, the relay agent", Rows: rfc5107, Counted: len(rfc5107)},
		{RFC: "6607", Title: "RFC 6607, the DHCPv4 relay agent", Rows: rfc6607, Counted: len(rfc6607)},
		{RFC: "6925", Title: "RFC 6925, the relay agent", Rows: rfc6925, Counted: 5},
		{RFC: "7839", Title: "RFC 7839, the DHCPv4 relay agent", Rows: rfc7839, Counted: len(rfc7839)},
		{RFC: "8357", Title: "RFC 8357 section 5, the relay agent", Rows: rfc8357, Counted: len(rfc8357)},
	}
}

var rfc8987 = []Row{
	{"G-1", "MUST", "forward messages bidirectionally without changing the contents of the message", ""},
	{"G-2", "MUST", "allow multiple prefixes for the same IA_PD, which may have different lifetimes", ""},
	{"G-3", "MUST", "allow multiple prefixes, with or without separate IA_PDs, for a single client (DUID) on a single interface", ""},
	{"G-4", "SHOULD", "allow the same DUID to have active leases on more than one interface, unless uniqueness is necessary", ""},
	{"G-5", "MUST", "the maximum number of prefixes delegated to a single client is configurable", ""},
	{"G-6", "MUST", "limit the number of active delegations on a single port for all clients and IA_PDs; configurable", ""},
	{"G-7", "SHOULD", "support at least 8 active leases per client and use this as the default limit", ""},
	{"G-8", "MUST", "update lifetimes from the Replies that are forwarded; expire only when the valid lifetime has elapsed", ""},
	{"G-9", "MUST", "on a Release, expire the active leases for each of the IA_PDs in it", "only where link, DUID, source and link-layer source are the delegation's: the message proves nothing else"},
	{"R-1", "MUST", "maintain routes with leases and next hops as they are delegated; remove them on release or expiry", ""},
	{"R-2", "MUST", "the route has the prefix length given in the IA_PD", ""},
	{"R-3", "MUST", "update ingress filters with the leases, blocking invalid sources; same prefix length", ""},
	{"R-4", "MAY", "advertise leases into a routing protocol; withdraw them (MUST) when released or expired", "by the kernel's routing table, which FRR and BIRD read"},
	{"R-5", "SHOULD", "drop looping packets on client-facing interfaces; per client or per destination; ICMPv6 type 1 code 6 configurable", ""},
	{"S-1", "SHOULD", "preserve delegations across restarts: Bulk Leasequery, or persistent storage", "persistent storage; Bulk Leasequery is to come; on point-to-point links a restored route has a stand-in until the next Reply, unless reuse says that their names or addresses are fixed"},
	{"S-2", "MUST", "retain routes while the next hop is unreachable, unless released or expired", "on point-to-point links that were down or away as an unreachable stand-in until the next Reply, unless reuse says that their names or addresses are fixed"},
	{"S-3", "SHOULD", "implement Active Leasequery (RFC 7653)", "to come"},
	{"O-1", "SHOULD", "let the operator view delegations with client identifier, next hop, interface and remaining lifetimes", ""},
	{"O-2", "SHOULD", "let the operator clear an individual lease, a client, or all bindings on a port", ""},
	{"O-3", "SHOULD", "a time synchronization protocol is used by relays and servers", "the host's; whether it works is shown, exported and heeded"},
	{"S4", "MUST", "section 4: forward packets with message codes or options that it does not understand", ""},
}

// Named has the rows of tests whose names have only a section of their document.
var Named = map[string][]string{
	"TestRFC8415_19_DefaultIsAllServers":           {"19c"},
	"TestRFC8415_19_1_2_HopCountLimit":             {"19.1.2a"},
	"TestRFC8415_19_1_2_DhcrelayBelowOurs":         {"19.1a", "19.1.2b", "19.4b"},
	"TestRFC8415_19_1_2_AnotherFairleadBelowOurs":  {"19.1a", "19.1.2b", "19.4b"},
	"TestRFC8415_19_2_DhcrelayAboveOurs":           {"19.2b", "19.2d"},
	"TestRFC8415_19_2_AnotherFairleadAboveOurs":    {"19.2b", "19.2d"},
	"TestRFC8415_19_2_UnknownOptionsOfARelayReply": {"19.2a"},

	"TestRFC8415_18_3_1_Advertise":    {"18.3.9h"},
	"TestRFC8415_18_3_2_Request":      {"18.3.1a", "18.3.9h"},
	"TestRFC8415_18_3_3_Confirm":      {"18.3.3b"},
	"TestRFC8415_18_3_4_Renew":        {"18.3.4g"},
	"TestRFC8415_18_3_4_Renumbering":  {"18.3.4c"},
	"TestRFC8415_18_3_5_NothingToSay": {"18.3.5b", "18.3.5c"},
	"TestRFC8415_18_3_7_Release":      {"18.3a"},

	"TestRFC6603_4_DelegationAroundItsOwnLink":   {"4.1a", "4.1b", "4.2e"},
	"TestRFC6603_6_ExclusionComesLater":          {"4.1b"},
	"TestRFC6603_4_1_DelegationAroundItsOwnLink": {"4.1a", "4.1b"},

	"TestRFC8213_3_Exchange6":                    {"3a", "3d", "3h", "3i", "3l", "3m", "3n", "3o"},
	"TestRFC8213_3_HopByHop":                     {"3a", "3e", "3f", "4a"},
	"TestRFC8213_3_LinkLocal":                    {"4e"},
	"TestRFC8213_3_Refused":                      {"3p", "3q"},
	"TestRFC8213_3_FailsClosedInKernel":          {"3p"},
	"TestRFC8213_3_FailsClosedWithoutStrongSwan": {"3p"},
	"TestRFC8213_3_FailsClosedManual":            {"3m", "3p"},
	"TestRFC8213_3_FailsClosed4":                 {"3b", "3p"},
	"TestRFC8213_3_OurRelay4":                    {"3b", "3p"},
	"TestRFC8213_3_NobodyThereQuotesNothing":     {"3k"},
	"TestRFC8213_3_ForeignStrongSwan":            {"3d", "3i"},
	"TestRFC8213_3_ForeignLibreswan":             {"3d", "3i"},
	"TestRFC8213_3_ForeignByHand":                {"3d", "3m"},
	"TestRFC8213_3_AnyOrder":                     {"3d"},
	"TestRFC8213_3_RekeyUnderLoad":               {"3n"},
	"TestRFC8213_3_ReplayIsRejected":             {"4b"},
	"TestRFC8213_3_ManualRollOver":               {"4c"},
	"TestRFC8213_4_ManualKeysKnowNoReplay":       {"3m", "4b"},

	"TestRFC6925_5_StableAndVisible": {"5c", "5d"},
	"TestRFC6925_6_Token":            {"6.2a"},
}

const same = "RFC 9915: the same"

var rfc8415 = []Row{
	{"19a", "SHOULD", "be configured with a list of destination addresses that includes unicast addresses", same},
	{"19b", "MAY", "the list may include the All_DHCP_Servers multicast address or others", same},
	{"19c", "MUST", "use All_DHCP_Servers if not explicitly configured", same},
	{"19d", "states", "messages to a multicast address have Hop Limit 8", same},
	{"19e", "MUST", "forward a message whose type it does not recognize, as in 19.1.1", same},
	{"19.1a", "states", "construct a new Relay-forward for a Relay-forward, a type that is not for itself, or an unrecognized one", same},
	{"19.1b", "states", "copy the source address of the datagram into peer-address", same},
	{"19.1c", "states", "copy the received message into a Relay Message option", same},
	{"19.1d", "states", "add the options that it is configured to include", same},
	{"19.1.1a", "states", "link-address is a global or unique local address from a prefix of the client's link", same},
	{"19.1.1b", "MAY", "a link-local address if there is no such address", same},
	{"19.1.1c", "states", "hop-count is 0 in a message from a client", same},
	{"19.1.1d", "MUST", "include an Interface-Id option if the link-address does not identify the interface", same},
	{"19.1.1e", "states", "set the link-address regardless of the Interface-Id option", same},
	{"19.1.2a", "states", "discard a Relay-forward whose hop-count is HOP_COUNT_LIMIT or more", same},
	{"19.1.2b", "states", "copy the source address into peer-address, and increment hop-count", same},
	{"19.1.2c", "states", "link-address 0 if the source is global; else an address of the interface, or an Interface-Id option", same},
	{"19.1.3", "states", "forward prefix delegation like addresses", same},
	{"19.2a", "states", "process the options of a Relay-reply beside the Relay Message option", same},
	{"19.2b", "states", "relay the message to the peer-address", same},
	{"19.2c", "MUST NOT", "modify the message", same},
	{"19.2d", "states", "on the link that the Interface-Id option identifies", same},
	{"19.2e", "states", "otherwise on the link that the link-address identifies", same},
	{"19.2f", "MUST", "process a Relay-reply regardless of the type of message in it", same},
	{"19.4a", "MUST NOT", "change anything in the packet being encapsulated", same},
	{"19.4b", "states", "remove one encapsulation level on the way back", same},
}

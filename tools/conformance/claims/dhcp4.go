package claims

// These are the requirements of the RFCs of DHCPv4 for a relay agent. Requirements for clients
// and servers alone are not here.

// server is the note of rows that require something of a server.
const server = "to come, with the server"

var rfc1542 = []Row{
	{"2.1a", "SHOULD", "the minimal BOOTP header has 300 octets; a shorter message is silently discarded", "where it is BOOTP: DHCP has options of any length (RFC 2131 section 2)"},
	{"2.1b", "MUST", "accept messages that are larger than the minimum size", ""},
	{"2.1c", "MUST", "silently discard a message whose op is neither BOOTREQUEST nor BOOTREPLY", ""},
	{"4.1a", "MUST", "accept BOOTREQUEST messages whose IP source address is 0.0.0.0, and those from legal ones", ""},
	{"4.1b", "MUST", "silently discard what is sent to port 68", ""},
	{"4.1.1a", "SHOULD", "where secs is a factor in deciding whether to relay, its threshold is configurable", ""},
	{"4.1.1b", "MUST", "silently discard BOOTREQUEST messages whose hops field exceeds 16", ""},
	{"4.1.1c", "SHOULD", "a smaller threshold can be configured; the default is 4", ""},
	{"4.1.1d", "MUST", "fill a giaddr that is zero with the IP address of the interface on which the request was received", "or with one that is configured or borrowed, where the interface has none"},
	{"4.1.1e", "SHOULD", "choose one of several addresses of the interface, and use it consistently", ""},
	{"4.1.1f", "MUST NOT", "modify a giaddr that is not zero", ""},
	{"4.1.1g", "MUST NOT", "fill giaddr with a broadcast address, under any circumstances", ""},
	{"4.1.1h", "MUST", "increment the hops field", ""},
	{"4.1.1i", "MUST", "preserve all other BOOTP fields intact", ""},
	{"4.1.1j", "MUST", "the destinations are configurable", ""},
	{"4.1.1k", "MUST NOT", "rebroadcast the BOOTREQUEST on the physical interface from whence it came", ""},
	{"4.1.1l", "MUST", "use the same destinations for all BOOTREQUEST messages from a given client", "the operator may choose otherwise: see departures"},
	{"4.1.1m", "states", "set TTL to the default or to that of the request, decremented; recalculate the UDP checksum", "the host's default"},
	{"4.1.2a", "MUST", "silently discard a BOOTREPLY whose giaddr does not match one of the relay agent's interfaces", ""},
	{"4.1.2b", "states", "giaddr identifies the interface from which the reply must be sent", "where several use one giaddr: the circuit-id, else the transaction"},
	{"4.1.2c", "SHOULD", "broadcast the reply to 255.255.255.255 and the link-layer broadcast address if the BROADCAST flag is set", ""},
	{"4.1.2d", "SHOULD", "unicast it to yiaddr and chaddr if the flag is cleared", ""},
	{"4.1.2e", "MAY", "broadcast it if unicasting is not possible", ""},
	{"4.1.2f", "MUST NOT", "modify any BOOTP field of the reply", ""},
	{"4.1.2g", "MUST", "the reply has UDP destination port 68", ""},
}

var rfc2131 = []Row{
	{"2.1a", "states", "a client has one address on a subnet", "a lease that is seen given takes the place of what the client had on its link"},
	{"3.1a", "states", "a DHCPACK gives the client the address in yiaddr for the duration of the lease", "as the relay sees it"},
	{"3.2a", "states", "a client that receives a DHCPNAK cannot reuse its address", "if the server is the one that gave it"},
	{"4.1a", "SHOULD", "examine the BROADCAST bit: broadcast if it is set, else unicast to yiaddr and chaddr", ""},
	{"4.1b", "states", "messages to servers go to port 67, messages to clients to port 68", ""},
	{"4.2a", "MUST", "a client is identified by its client identifier, else by chaddr", "also where the server does not send the identifier back"},
	{"4.3.2a", "states", "the relay agent broadcasts the DHCPNAK to the client", "whether the server has set the BROADCAST bit or not"},
	{"4.3.5a", "MUST NOT", "the answer to a DHCPINFORM has no lease expiration time", "the relay takes it for no lease"},
	{"4.4.6a", "states", "a DHCPRELEASE gives back the address in ciaddr, a DHCPDECLINE the requested one", "if it is the holder's"},
}

var rfc3046 = []Row{
	{"2.1a", "SHOULD", "adding the option is configurable, and disabled by default", ""},
	{"2.1b", "SHOULD", "each sub-option is configured apart", ""},
	{"2.1c", "SHALL", "add it as the last option, before the End option if present, of any BOOTP or DHCP packet", ""},
	{"2.1d", "SHALL", "discard a packet from an untrusted circuit that has the option and a giaddr of zero, and count it", "also where the option is in the file or sname field"},
	{"2.1e", "states", "from a trusted circuit no second option is added, and the packet is forwarded with giaddr set", ""},
	{"2.1f", "SHALL", "forward a packet without the option that would exceed the configured maximum size with it; count it (SHOULD)", ""},
	{"2.1g", "SHALL NOT", "increase a packet to exceed the MTU of the interface on which it is forwarded", ""},
	{"2.1h", "MUST", "remove the option that it added when forwarding a response back to the client", ""},
	{"2.1i", "SHALL NOT", "add an Option Overload option, or use the file or sname fields", ""},
	{"2.1j", "SHALL NOT", "parse or remove options in the sname or file fields of a server-to-client packet", ""},
	{"2.1k", "MUST NOT", "modify packets that use the IPsec AH or ESP", "what is in transit never comes to our sockets"},
	{"2.1.1a", "SHALL", "discard a packet whose giaddr spoofs one of the local agent", ""},
	{"2.1.1b", "SHALL", "forward any other packet with a valid giaddr without adding options or modifying giaddr", "from trusted links and configured relay agents: see departures"},
	{"3.1", "states", "the circuit-id relays responses back to the proper circuit", ""},
}

var rfc3527 = []Row{
	{"3a", "states", "the sub-option has the subnet's address, host bits zero, and is in all messages whose giaddr the relay agent sets", ""},
	{"3b", "MUST NOT", "take different actions based on whether it appears in the response", ""},
}

var rfc3993 = []Row{
	{"3.1a", "MUST NOT", "the string is NULL terminated; it has one octet at least", ""},
}

var rfc5010 = []Row{
	{"4a", "MUST", "include the sub-option in every option 82 that is added, for broadcast and unicast alike", ""},
}

var rfc5107 = []Row{
	{"4a", "states", "the address that clients are to renew at; giaddr is filled in as normally", ""},
	{"4b", "SHOULD", "forward all messages to all servers, renewals as well", "unless the operator chooses otherwise"},
	{"4c", "SHOULD", "use the relay agent flags sub-option as well", ""},
}

var rfc6607 = []Row{
	{"5a", "SHOULD", "include the VSS sub-option in a request from a client on a VPN", ""},
	{"5b", "MUST", "include a VSS-Control sub-option whenever there is a VSS sub-option", ""},
	{"5c", "MUST", "check the response; if both sub-options appear, the server did not act on the VSS information", "the reply is dropped: section 4.1, the client SHOULD be unable to acquire an address"},
	{"5.1a", "MUST", "drop a reply that demands a VPN in which the relay agent cannot place the client", ""},
}

var rfc6925 = []Row{
	{"5a", "states", "the identifier needs to be present in all DHCP message types", ""},
	{"5b", "SHOULD", "use a single identifier value consistently; it is configurable", ""},
	{"5c", "SHOULD", "the identifier is committed to stable storage, unless it can be regenerated", ""},
	{"5d", "MUST", "the identifier is unique within the administrative domain; it is visible to administrators (SHOULD)", "a DUID of type UUID, unless the operator configures another one"},
	{"6.2a", "states", "refuse to relay where the token's identifier is not to be had", "and drop a message that has no room for it"},
	{"5e", "states", "a server goes on to associate the identifier it has last seen with a lease that is renewed by unicast", server},
	{"6.1a", "SHOULD", "the authentication sub-option (RFC 4030) is deployed as well, which is not a must", "not done: see departures"},
	{"5.1a", "states", "a server may notify operators of a relay identifier that it sees twice", server},
}

var rfc7839 = []Row{
	{"6a", "MAY", "include the access network's sub-options", ""},
	{"6b", "MUST", "include the Access-Technology-Type with the network's name and the access point's", "a configuration without it is refused"},
}

var rfc8357 = []Row{
	{"5.1", "MUST", "DHCPv4: include the Source Port sub-option when using another port than 67", "what cannot carry it leaves from port 67"},
	{"5.2", "MUST", "DHCPv6: include the Relay Source Port option for our own port and for that of a relay agent below, and obey it in replies", ""},
}

var rfc3118 = []Row{
	{"3a", "states", "relay agents may alter hops, giaddr and option 82, which no authentication covers", "and alter nothing else, in either direction"},
}

package claims

// RFC 8213 section 3, and what section 4 says about the use of it. A sentence without a keyword
// is listed if the section's conditions would not be complete without it.
var rfc8213 = []Row{
	{"3a", "REQUIRED", "DHCPv6: relay and server support IPsec encryption of relay-to-relay and relay-to-server communication", ""},
	{"3b", "REQUIRED", "DHCPv4: relay and server support IPsec encryption of relay-to-server communication", ""},
	{"3c", "RECOMMENDED", "operators enable IPsec", "the operator's: a peer without it must be marked as such, and is shown so"},
	{"3d", "MUST", "be able to exchange messages using the IPsec mechanisms of RFC 4301, with the conditions below", ""},
	{"3e", "MUST", "in a relay chain each of the relay agents has established independent, pairwise trust relationships", ""},
	{"3f", "MUST", "relay agents A and B use IPsec for the messages that they exchange, and so do relay agent B and the server", ""},
	{"3g", "MUST", "be configured also with a list of the relay agents to which messages will be returned", ""},
	{"3h", "states", "the selectors are the pairs of addresses and the direction of exchange on DHCPv4 UDP port 67 or DHCPv6 UDP port 547", ""},
	{"3i", "MUST", "use IPsec in transport mode and use ESP", ""},
	{"3j", "REQUIRED", "combined mode, encryption and authentication algorithms as per RFC 7321 section 2", "as RFC 8221 has them, which obsoletes RFC 7321"},
	{"3k", "states", "encryption is required", ""},
	{"3l", "MAY", "public key schemes are optional", ""},
	{"3m", "MAY", "manually configured key management suffices, but does not provide defense against replayed messages", ""},
	{"3n", "SHOULD", "IKEv2 with pre-shared secrets is supported", ""},
	{"3o", "MAY", "IKEv2 with public keys is supported", ""},
	{"3p", "MUST", "accept DHCP messages between relay agents and servers only from DHCP peers as identified in the local configuration", ""},
	{"3q", "states", "shared keys, indexed to the source IP address of the received DHCP message, are adequate", ""},
	{"3r", "SHOULD", "relay agents are configured to forward DHCP messages to unicast addresses", ""},
	{"4a", "states", "the security model is hop by hop: each of these hops needs to be secured", ""},
	{"4b", "states", "replay protection cannot be provided with manual keys", "the operator is told"},
	{"4c", "states", "manual keys are usually long lived, which gives an attacker time to discover them", "their age is shown, and warned of"},
	{"4d", "states", "securing the systems and the data in databases and logs also needs to be considered", ""},
	{"4e", "states", "applicable to Lightweight DHCPv6 Relay Agents, by their link-local address", ""},
}

// RFC 8221 section 3 is for whoever sets up ESP with manual keys.
var rfc8221 = []Row{
	{"3a", "SHOULD NOT", "manual keying is used", "RFC 8213 allows it: the operator is warned"},
	{"3b", "MUST NOT", "counter modes, with or without integrity (AES-CTR, AES-CCM, AES-GCM, ChaCha20-Poly1305), are used with manual keys", ""},
}

package claims

// RFC 6603 is about the delegating router. If a server delegates behind a relay, the relay is the
// router: it reads what the server excludes, and routes and filters by it. Our own server is both
// router and server, or the server alone. Requirements for the requesting router alone are not
// here.
var rfc6603 = []Row{
	{"4.1a", "states", "the delegating router uses one prefix of the delegated prefix on the link through which it exchanges DHCPv6 messages with the requesting router", ""},
	{"4.1b", "MUST NOT", "the requesting router assigns the excluded prefix to any of its downstream interfaces", "the requesting router's; what it sends from there is dropped, and what is for there is not routed to it"},
	{"4.2a", "MUST", "prefix-len is between the length of the delegated prefix plus 1 and 128", ""},
	{"4.2b", "MUST", "the subnet ID is left-shifted to start from a full octet boundary and zero-padded to the next", ""},
	{"4.2c", "MUST", "the option is only included in the IAprefix-options field of OPTION_IAPREFIX", "elsewhere it excludes nothing"},
	{"4.2d", "MUST", "any prefix excluded is contained in an OPTION_PD_EXCLUDE within the corresponding OPTION_IAPREFIX", "what another delegation excludes does not count"},
	{"4.2e", "states", "the excluded prefix shares the lifetimes of the delegated prefix", ""},
	{"4.2f", "MUST", "the excluded prefix is part of the delegated prefix", "the encoding knows no other; one that says so is passed over"},
	{"5.2a", "MUST", "a client that does not ask for the option is given prefixes as if there were none", "of pools of which nothing is excluded"},
	{"6.1a", "MUST", "a Release has the excluded prefix with the prefix that is released", "of a foreign server's prefix it ends both, also where it names another excluded prefix: the server answers that"},
	{"6.2a", "MUST", "a Release that names another excluded prefix is answered by NoBinding for its IA_PD", ""},
}

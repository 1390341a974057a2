package claims

// RFC 8168 and RFC 7550 have sentences for clients as well, which are not here.

var rfc8168 = []Row{
	{"3.2a", "SHOULD", "look first for a prefix of the length that a Solicit asks for without naming a prefix, whatever the client had before", ""},
	{"3.2b", "SHOULD", "where there is none, give the prefix whose length is shorter and closest", ""},
	{"3.2c", "SHOULD", "look for the prefix that a Solicit names", ""},
	{"3.2d", "SHOULD", "where that is not available, look for one of the length that the same IA_PD asks for", ""},
	{"3.2e", "SHOULD", "where there is none, give the prefix whose length is shorter and closest", ""},
	{"3.2f", "MUST", "send an Advertise also where no prefix will be assigned to any IA_PD (RFC 3633 section 11.2)", ""},
	{"3.5a", "SHOULD", "of a Renew or Rebind with the client's prefix and a length, check whether the prefix can be extended, and whether there is one of that length", "the length counts where the prefix cannot be extended"},
	{"3.5b", "SHOULD", "extend the client's prefix, or give one of the length beside it or in its place", "it is extended"},
	{"3.5c", "SHOULD", "where the client's binding is not known, ignore its prefix and assign a new one of that length", "what a Renew names is given where it is free"},
}

// RFC 8415 has taken these sentences in; it obsoletes RFC 7550.
var rfc7550 = []Row{
	{"4.1a", "MUST", "NoAddrsAvail stands in the IA of an Advertise", ""},
	{"4.1b", "MUST NOT", "an Advertise has NoAddrsAvail at the top", ""},
	{"4.1c", "MUST", "an IA to which nothing will be assigned is in the Advertise, with NoAddrsAvail and without addresses", ""},
	{"4.3a", "MUST", "T1 and T2 are the same in all IAs of a Reply or an Advertise", ""},
	{"4.3b", "MUST", "T1 and T2 are the same values across all IAs of the Reply to a Request", ""},
	{"4.3c", "MUST", "T1 and T2 are determined across all of the client's bindings in the Reply", ""},
	{"4.4.6a", "MAY", "leave out an address of a Renew that cannot be extended", "not done: it is included, with lifetimes of 0"},
	{"4.4.6b", "SHOULD", "create a binding for a Renew of an unknown IA, where that is configured", "always"},
	{"4.4.6c", "MAY", "use the addresses of a Renew as hints", ""},
	{"4.4.6d", "MUST", "the Reply to a Renew has both identifiers", ""},
	{"4.4.6e", "MUST", "T1 and T2 are the same values across all IAs of the Reply to a Renew", ""},
	{"4.4.6f", "MUST", "T1 and T2 are determined across all of the client's bindings in the Reply to a Renew", ""},
	{"4.4.7a", "SHOULD", "send the IA of a Rebind back with new lifetimes, where it is known and of the link", ""},
	{"4.4.7b", "MAY", "leave out an address of a Rebind that cannot be extended", "where another server may extend it"},
	{"4.4.7c", "MAY", "answer a Rebind of an unknown IA whose addresses are not of the link, with lifetimes of 0", ""},
	{"4.4.7d", "SHOULD", "create a binding for a Rebind of an unknown IA, where that is configured", ""},
	{"4.4.7e", "MAY", "use the addresses of a Rebind as hints", ""},
	{"4.4.7f", "SHOULD", "create bindings for a Rebind only where rapid commit is configured", ""},
	{"4.4.7g", "MUST", "the Reply to a Rebind has both identifiers", ""},
	{"4.4.7h", "MUST", "T1 and T2 are the same values across all IAs of the Reply to a Rebind", ""},
	{"4.4.7i", "MUST", "T1 and T2 are determined across all of the client's bindings in the Reply to a Rebind", ""},
	{"4.4.8a", "SHOULD", "assign prefixes to an IA_PD of a Renew or Rebind that names none", "of a Rebind where rapid commit is configured"},
	{"4.4.8b", "MAY", "use the length that such an IA_PD asks for as a hint", ""},
	{"4.4.8c", "MAY", "respect lifetimes that the client asks for", "not done: RFC 8415 has servers ignore them"},
	{"4.5a", "MUST NOT", "answer a Confirm where it cannot be determined whether the addresses are of the link", ""},
}

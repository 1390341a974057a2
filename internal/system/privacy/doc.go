// Package privacy has no code, only tests. They run the fairlead program between clients and
// servers, and search for what must not be revealed. They search for identifiers of clients in
// everything that the program writes, in all spellings that we could think of; and for sensitive
// options, and clear messages to a protected server, on the wire, by tcpdump. The promises are
// those of docs/privacy.md and docs/ipsec.md. The kernel needs no ESP, because nothing that needs
// protection is meant to pass here. The tests need root and scripts/packages test.
package privacy

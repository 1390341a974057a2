// Package privacy has no code, only tests: they run the fairlead program between
// clients and servers and look for what has to stay inside. Identifiers of clients
// are looked for in all that the program writes, in as many spellings as we could
// think of; sensitive options and clear messages for a protected server on the
// wire, by tcpdump. The promises are those of docs/privacy.md and docs/ipsec.md.
// The kernel that they run on needs no ESP: nothing here is meant to get through
// where protection is asked for. They need root and scripts/packages test.
package privacy

// Package traffic has no code, only tests: what RFC 8987 and its neighbours ask
// of a relay, asked of the running program, one requirement a test. Most talk to
// it through the laboratory's own server and client, which can be odd; what it
// did is read off the kernel (ip, nft), off the wire (tcpdump, tshark) and from
// what arrives at sockets in other namespaces. They need root.
package traffic

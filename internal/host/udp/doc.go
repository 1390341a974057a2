// Package udp carries the datagrams of the DHCPv6 relay between the kernel and
// its caller, in batches and without an allocation for each datagram. It knows
// IPv6, UDP and link layers; it is not a DHCPv6 codec and decides nothing about
// a message. RFC 8415 sections 7.1, 7.2 and 19, RFC 8357, RFC 8200.
//
// # Two ways in
//
// One packet socket for all links (the frame path) takes what clients multicast to
// All_DHCP_Relay_Agents_and_Servers. On links with link-layer addresses it
// tells the client's, and answers to that address leave
// through the same socket, so that the kernel's neighbour table, 1024 entries
// for a whole machine, is never in the path. The kernel puts these frames into
// memory that it shares with us, a ring; they are read without a system call. Links
// that flood get a second ring (flood.go). Fragments pass there as well: they tell
// which link-layer address a datagram came from that the kernel put together and the
// socket path took (fragments.go).
//
// UDP sockets (the socket path) take the rest: unicast, answers to links without
// link-layer addresses, and multicast that was fragmented, carries extension
// headers or is longer than a frame of the ring. The kernel shows every multicast
// datagram to both. It is asked to keep the socket path's copy back where it can
// tell by the size (copies.go); else the socket path drops one, unless its control
// messages or its length show that the frame path could not have taken it. That is
// counted as [Stats.OtherPath].
//
// # Sockets
//
// The kernel limits the groups that one socket may join, and when it looks for
// the sockets that get a multicast datagram it asks whether they joined the
// group on any interface, not whether on this one. So groups are joined on
// sockets that are bound to nothing and receive nothing (as many as it takes;
// IPV6_MULTICAST_ALL off), and one socket in each VRF receives the multicast of
// all links. That one has IPV6_MULTICAST_ALL on, which is also why it sees other
// groups that somebody else on this host joined: dropped and counted. Its twin
// at the same endpoint receives unicast, so that a flood from clients does not
// push the answers of servers out of a queue. The default VRF has a second pair, for
// links that flood; of those in other VRFs each gets a socket for unicast.
//
// Traffic with other relays and servers uses UDP sockets only, never frames, so
// that routing, IPsec policy and packet filters apply to it.
//
// All descriptors are watched by one epoll descriptor that waits in the runtime's
// poller: there is no goroutine and no blocked thread.
//
// # Concurrency and memory
//
// All methods may be called from several goroutines. Receive calls exclude each
// other; Send calls run side by side. A received payload belongs to the Conn and
// is valid until the function that it was handed to returns. Send reads payloads
// only while it runs. Sockets are opened in the network namespace of the calling
// thread.
package udp

// Package udp carries the datagrams of a DHCPv6 or DHCPv4 relay between the kernel
// and its caller, in batches and without an allocation for each datagram. It knows IP,
// UDP and link layers. It does not read messages, and decides nothing about them. RFC 8415
// sections 7.1, 7.2 and 19, RFC 8357, RFC 8200; RFC 2131 section 4.1, RFC 1542, RFC 791.
//
// # Two ways in
//
// One packet socket for all links (the frame path) takes what clients multicast to
// All_DHCP_Relay_Agents_and_Servers, or broadcast in IPv4. On links with link-layer
// addresses it tells the client's address, and answers to that address leave through the
// same socket. So they do not depend on the kernel's neighbour table, which has 1024 entries
// for a whole machine. The kernel puts these frames into memory that it shares with us, a
// ring; they are read without a system call. Links that flood get a second ring (flood.go).
// The frame path also sees fragments. They tell the link-layer source of a datagram that the
// kernel has put together for the socket path (fragments.go).
//
// UDP sockets (the socket path) take the rest: unicast, answers to links without
// link-layer addresses, and multicast that was fragmented, has extension headers, or is
// longer than a frame of the ring. The kernel gives every multicast datagram to both paths.
// Where the size shows that the frame path has it, the kernel does not give the socket path
// its copy (copies.go). Otherwise the socket path drops the copy, unless control messages or
// the length show that the frame path could not have taken it. Stats.OtherPath counts these
// copies.
//
// # Sockets
//
// The kernel bounds how many groups one socket may join. It gives a multicast datagram to
// each socket that has joined the group on any interface, not only on this one. So groups
// are joined on sockets that are bound to nothing and receive nothing (as many as it takes;
// IPV6_MULTICAST_ALL off), and one socket in each VRF receives the multicast of all links.
// That socket has IPV6_MULTICAST_ALL on. So it also gets groups that other programs on this
// host have joined: these datagrams are dropped and counted. Its twin at the same endpoint
// receives unicast, so that a flood from clients does not take the room of servers' answers.
// The default VRF has a second pair, for links that flood. In other VRFs each such link gets
// a socket for unicast.
//
// Traffic with other relays and servers uses UDP sockets only, never frames, so
// that routing, IPsec policy and packet filters apply to it.
//
// One epoll descriptor watches all descriptors. It waits in the runtime's poller, so there
// is no goroutine and no blocked thread.
//
// # Concurrency and memory
//
// Any goroutine may call the methods. Calls of Receive exclude each other; calls of Send
// run side by side. A received payload belongs to the Conn, and is valid until the function
// returns that it was given to. Send reads payloads only while it runs. Sockets are opened
// in the network namespace of the calling thread.
package udp

// Package inject puts the messages of thousands of DHCP clients on a link, and receives what
// comes back for them. A Port speaks as the clients themselves: in whole Ethernet frames, with a
// link-layer address for each client. It answers Neighbor Solicitations for their link-local
// addresses (RFC 4861 section 7.2.4), and ARP requests for the IPv4 addresses that they use (RFC
// 826), because relay agents on UDP sockets ask before they answer. A Relay speaks as a relay
// agent in front of the clients (RFC 8415 section 19, RFC 1542 section 4.1), by UDP to one
// server.
//
// The package does not read the messages, except the client's link-layer address in those of
// DHCPv4. Addresses are those of package loadgen. Frames that are not plain UDP are not seen, nor
// are fragments. UDP checksums of received frames are not verified, because frames from this
// machine may not have one yet.
//
// A Port or Relay belongs to one goroutine. A received message is valid until the function
// returns that it was given to. Nothing is allocated after Open.
package inject

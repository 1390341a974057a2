// Package inject puts the messages of thousands of DHCP clients on a link and
// takes what comes back for them. Port speaks as the clients themselves, in whole
// Ethernet frames with a link-layer address for each. It answers Neighbor
// Solicitations for their link-local addresses (RFC 4861 section 7.2.4), and
// questions of ARP for the IPv4 addresses that they use (RFC 826), as relay agents
// on UDP sockets ask before they answer. Relay speaks as a relay agent in front of
// the clients (RFC 8415 section 19, RFC 1542 section 4.1), by UDP to one server.
//
// It does not know what the messages say, but for the client's link-layer address
// in those of DHCPv4. Addresses are those of package loadgen. Frames that are not
// plain UDP, fragments among them, are not seen; UDP checksums of what is received
// are not looked at, as frames from this machine may not have one yet.
//
// A Port or Relay belongs to one goroutine. Messages that were received are
// valid until the function that they are handed to returns; nothing is allocated
// after it was opened.
package inject

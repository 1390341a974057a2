// Package inject puts the messages of thousands of DHCPv6 clients on a link and
// takes what comes back for them. Port speaks as the clients themselves, in whole
// Ethernet frames with a link-layer and a link-local address for each, and
// answers Neighbor Solicitations for them (RFC 4861 section 7.2.4), as relay
// agents on UDP sockets ask before they answer. Relay speaks as a relay agent in
// front of them (RFC 8415 section 19), by UDP to one server.
//
// It does not know what the messages say. Addresses are those of package
// loadgen. Frames that are not plain UDP in IPv6, fragments among them, are not
// seen; UDP checksums of what is received are not looked at, as frames from this
// machine may not have one yet.
//
// A Port or Relay belongs to one goroutine. Messages that were received are
// valid until the function that they are handed to returns; nothing is allocated
// after it was opened.
package inject

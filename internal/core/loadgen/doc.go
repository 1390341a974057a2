// Package loadgen plays thousands of DHCP clients: it decides which client sends next, in
// which exchange (RFC 8415 section 18.2, RFC 2131 section 4.4), makes the octets of the
// message, and takes in the answer for the client and for the statistics.
//
// It is not a DHCP client: it never retransmits (a message that is not answered in time is a
// result of the measurement), keeps no lifetimes and configures nothing. It has no frames,
// sockets or clocks: it takes the octets of a message and an instant, and returns the octets of
// the next message.
//
// An Engine belongs to one goroutine. It allocates its memory at the start: a few tens of octets
// for each client, and a ring of as many exchanges as can be under way. An exchange allocates
// nothing, except the first answer of a server that was not heard before.
package loadgen

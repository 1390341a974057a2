// Package loadgen decides what thousands of DHCP clients say: which client
// speaks next, in which exchange (RFC 8415 section 18.2, RFC 2131 section 4.4),
// what its message is octet by octet, and what an answer means for it and for the
// count.
//
// It is not a client: it never retransmits (a message that is not answered in
// time is what is being measured), keeps no lifetimes and configures nothing. It
// does not know frames, sockets or clocks: it is handed the octets of a message
// and an instant, and returns the octets of the next.
//
// An Engine belongs to one goroutine. Its memory is taken at the start: a few
// tens of octets for each client, and a ring of as many exchanges as can be
// under way. An exchange allocates nothing; the first answer of a server that
// was not heard before does.
package loadgen

// Package dhcp4 reads and writes DHCPv4 and BOOTP messages: views over received
// octets, builders that append to a buffer, and the few changes that a relay agent
// makes to a message which it passes on.
//
// It knows the fixed header and the flags (RFC 2131 section 2, RFC 1542 section
// 2.2), options in the options, file and sname fields (RFC 2131 section 4.1, RFC
// 2132, RFC 3396), and the Relay Agent Information option with its sub-options (RFC
// 3046, RFC 3256, RFC 3527, RFC 3993, RFC 4030, RFC 4243, RFC 5010, RFC 5107, RFC
// 6607, RFC 6925, RFC 7839, RFC 8357). It does not decide anything: no state, no
// clock, no I/O, no policy on which message is acceptable from whom. An option or
// sub-option without a parser here is opaque octets and passes through untouched.
//
// # Reading
//
// A parser checks every length once and returns a view: slices of the octets that
// it was given, in wire order, duplicates included. Nothing is copied and nothing is
// allocated unless the input is refused. ParseMessage checks the frame of the
// options field and not what is inside its options, so that a relay agent can carry
// what a strict server would refuse. Where an option is split into several (RFC
// 3396), Options.Value joins them in a buffer of the caller's.
//
// # Writing
//
// Append functions add to a buffer in the order called and return it, as append
// does. A function named AppendX for an option or sub-option X writes the whole of
// it, code and length included. They take values that the caller has bounded, and
// panic above MaxOptionLen octets rather than write a length that wraps.
//
// # Carrying
//
// A relay agent passes on what it received, octet by octet, but for hops and giaddr,
// and for option 82, which it adds to what clients send and takes out of what
// servers send:
//
//	before, end, ok := m.Split()
//	out = append(out, before...)
//	if ok {
//		var mark int
//		out, mark = BeginAgentInformation(out)
//		out = AppendCircuitID(out, id)
//		out, err = EndAgentInformation(out, mark)
//	}
//	out = append(out, end...)
//	SetHops(out, m.Hops()+1)
//	SetGIAddr(out, address)
//
// # Memory and concurrency
//
// Views belong to whoever owns the octets below them: they are valid as long as
// those are, and may be read from several goroutines as long as nobody writes. The
// package has no mutable state.
package dhcp4

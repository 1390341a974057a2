// Package dhcp4 reads and writes DHCPv4 and BOOTP messages: views over received
// octets, builders that append to a buffer, and the few changes that a relay agent
// makes to a message which it passes on.
//
// It knows the fixed header and the flags (RFC 2131 section 2, RFC 1542 section
// 2.2), options in the options, file and sname fields (RFC 2131 section 4.1, RFC
// 2132, RFC 3396), and the Relay Agent Information option with its sub-options (RFC
// 3046, RFC 3256, RFC 3527, RFC 3993, RFC 4030, RFC 4243, RFC 5010, RFC 5107, RFC
// 6607, RFC 6925, RFC 7839, RFC 8357). It does not decide anything: it has no state, no
// clock, no I/O, and no policy on which message is acceptable from whom. An option or
// sub-option without a parser here is opaque, and passes through unchanged.
//
// # Reading
//
// A parser checks every length once and returns a view: slices of the octets that
// it was given, in wire order, duplicates included. Nothing is copied and nothing is
// allocated unless the input is refused. ParseMessage checks the framing of the
// options field and not the content of its options, so that a relay agent can forward
// what a strict server would refuse. Where an option is split into several (RFC
// 3396), Options.Value joins them in a buffer of the caller's.
//
// # Writing
//
// Append functions append to a buffer and return it, as append does. A function AppendX
// for an option or sub-option X writes the whole of it, code and length included. The
// caller bounds the values: above MaxOptionLen octets the functions panic, because they
// could only write a wrong length.
//
// # Relaying
//
// A relay agent forwards what it received, octet by octet. It changes only hops and giaddr,
// and option 82, which it adds to messages of clients and removes from those of servers:
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
// A view is valid as long as the octets are that it was made of, and belongs to their owner.
// Several goroutines may read it as long as nobody writes. The package has no mutable
// state.
package dhcp4

// Package dhcp6 reads and writes DHCPv6 messages: views over received octets
// and builders that append to a buffer.
//
// It knows the frame of client/server messages (RFC 8415 section 8), of relay
// messages (section 9), of option sequences (section 21.1) and of the options
// that a relay agent, a delegation or a server depends on (RFC 8415 section 21, RFC
// 3646, RFC 4075, RFC 4580, RFC 4649, RFC 5460 section 5.4, RFC 5908, RFC 5970, RFC
// 6939, RFC 7839, RFC 8357). It does not
// decide anything: no state, no clock, no I/O, no policy on which message is
// acceptable from whom. An option without a parser here is opaque octets and
// passes through untouched, as does a message of an unknown type (RFC 7283).
//
// # Reading
//
// A parser checks every length once and returns a view: slices of the octets
// that it was given, in wire order, duplicates included. Nothing is copied and
// nothing is allocated unless the input is refused. A parser looks at one level:
// ParseMessage checks the frame of the top-level options and not what is inside
// them, so that a relay can carry what a strict server would refuse. There is no
// recursion; a caller that descends bounds its own depth.
//
// # Writing
//
// Append functions add to a buffer in the order called and return it, as append
// does. A function named AppendX for an option X writes the whole option, code
// and length included. Options that hold options are opened with BeginOption and
// closed with EndOption, which reports ErrTooBig. The Append functions that have
// no error result take payloads that the caller has bounded, and panic above
// MaxOptionLen octets rather than write a length that wraps.
//
// # Memory and concurrency
//
// Views belong to whoever owns the octets below them: they are valid as long as
// those are, and may be read from several goroutines as long as nobody writes.
// The package has no mutable state.
package dhcp6

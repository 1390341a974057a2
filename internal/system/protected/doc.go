// Package protected is what the tests of hops under IPsec (RFC 8213) have in
// common, for both families: an end of a hop with its strongSwan and its fairlead,
// the keys of both ends, a recording of the wire between them, and ways to take
// the protection away. It has no tests of its own; those that use it are
// internal/vm/ipsec and internal/vm/ipsec4, on a kernel that has ESP.
//
// The program that runs is the test binary itself, which the TestMain of its
// package has to prepare.
//
// Functions and methods end the test where the laboratory or a wait fails them,
// and are called from its goroutine.
package protected

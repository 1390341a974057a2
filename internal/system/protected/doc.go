// Package protected has what the tests of hops under IPsec (RFC 8213) have in common, for both
// families: an end of a hop with its strongSwan and its fairlead, the keys of both ends, a
// recording of the wire between them, and ways to remove the protection. It has no tests of its
// own. The tests that use it are in internal/vm/ipsec and internal/vm/ipsec4, on a kernel that
// has ESP.
//
// The program that runs is the test binary itself. The TestMain of its package has to prepare
// this.
//
// Functions and methods end the test if the laboratory fails or a wait takes too long, and are
// called from the test's goroutine.
package protected

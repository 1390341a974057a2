// Package labtest is what the tests in networks of the laboratory have in common:
// a TestMain that has the program built, waiting with patience, packets put on a
// link and watched for at their end, and what the kernel says, read as an operator
// reads it (ip, nft).
//
// It holds no expectations of the relay's own; those are in the tests. Nothing
// but tests imports it, as it needs package testing. Functions that take a test
// end it where the laboratory fails them, and are called from its goroutine.
// Listener has a goroutine of its own, which ends with the test.
package labtest

// Package labtest has what tests in networks of the laboratory have in common: a TestMain that
// builds the program, waiting for conditions, packets that are put on a link and watched for at
// their destination, and the state of the kernel, read as an operator reads it (ip, nft).
//
// It does not say what the relay is expected to do; the tests say that. Only tests import it,
// because it needs package testing. Functions that take a test end the test if the laboratory
// fails, and are called from the test's goroutine. Listener has a goroutine of its own, which
// ends with the test.
package labtest

// Package roles has no code, only tests: they run a Fairlead that can play one role more
// than the product, which is as small as a role can be (echo_test.go). So it is shown what
// a role needs, and that the process plays several at once and knows none by name.
package roles

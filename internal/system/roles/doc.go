// Package roles has no code, only tests. They run a Fairlead that can play one role more than the
// product. This role is as small as a role can be (echo_test.go). So the tests show what a role
// needs, that the process plays several roles at once, and that it knows none of them by name.
package roles

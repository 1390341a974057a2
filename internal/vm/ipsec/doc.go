// Package ipsec has no code, only tests: they run "fairlead run" and "fairlead
// guard" with protected peers (RFC 8213) on a kernel that has ESP, which that of a
// build machine may lack, with strongSwan at both ends, and look at the wire
// between them. They have the build tag vm and need the image for IPsec:
//
//	FAIRLEAD_VM_IMAGE=ipsec go test -tags vm -exec "$PWD/scripts/vm/exec" ./internal/vm/ipsec
//
// The test binary is the program, too. The machine is emulated and slow: times
// that the tests log say nothing about a real one.
package ipsec

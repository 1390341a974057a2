// Package ipsec4 has no code, only tests: they put "fairlead guard" at both ends
// of a DHCPv4 hop (RFC 8213) between a relay and a server by other authors, on a
// kernel that has ESP, and look at the wire between the two. They have the build
// tag vm and need the image for IPsec:
//
//	FAIRLEAD_VM_IMAGE=ipsec go test -tags vm -exec "$PWD/scripts/vm/exec" ./internal/vm/ipsec4
//
// They also find out which programs can be protected: those that read packet
// sockets see a datagram before XFRM and the guard do.
package ipsec4

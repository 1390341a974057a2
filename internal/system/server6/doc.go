// Package server6 tests the DHCPv6 server of the whole program, in namespaces, with clients and
// relay agents of others.
package server6

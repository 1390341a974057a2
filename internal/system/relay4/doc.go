// Package relay4 has no code, only tests: the DHCPv4 relay between clients and servers of
// other people, in network namespaces.
package relay4

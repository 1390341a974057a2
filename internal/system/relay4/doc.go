// Package relay4 has no code, only tests. They run the DHCPv4 relay between clients and servers
// of other authors, in network namespaces.
package relay4

// Package rig has what the tests of the whole program have in common, in namespaces
// (internal/system) and in virtual machines (internal/vm): networks of the laboratory with a
// Fairlead in them, and other programs around it. If one of them fails, the test ends.
//
//	Net       a network: nodes, cables, waiting
//	Host      a node: commands in it, its addresses, packets, recordings, programs of other authors
//	Rig       the usual topology (lab.Topology) with a Fairlead in its relay node
//	Program   a Fairlead, as an operator knows it: its file, its commands, its log
//	Client    a played DHCPv6 client (lab/script)
//	Server    a played DHCPv6 server
//	Foreign   a DHCPv6 client of other authors (lab/peer)
//	Capture   a recording of a wire (lab/capture)
//
// Each of them contains a type of the laboratory, whose methods return errors. If a test expects
// an error, or if another goroutine than the test's calls, it uses these methods, such as
// r.Relay.Node.IP in place of r.Relay.IP.
package rig

// Package rig is what the tests of the whole program have in common, in namespaces
// (internal/system) and in virtual machines (internal/vm): networks of the laboratory
// with a Fairlead in them, and other programs around it, whose failures end the test.
//
//	Net       a network: nodes, cables, waiting
//	Host      a node: commands in it, its addresses, packets, recordings, programs of others
//	Rig       the usual topology (lab.Topology) with a Fairlead in its relay node
//	Program   a Fairlead, as an operator knows it: its file, its commands, its log
//	Client    a played DHCPv6 client (lab/script)
//	Server    a played DHCPv6 server
//	Foreign   a DHCPv6 client by others (lab/peer)
//	Capture   a recording of a wire (lab/capture)
//
// Each of them contains what the laboratory has, whose methods return errors: where a test
// expects one, or where another goroutine than the test's asks, it calls those, such as
// r.Relay.Node.IP beside r.Relay.IP.
package rig

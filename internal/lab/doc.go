// Package lab builds small virtual networks out of Linux network namespaces, and runs programs in
// them: ours and those of other authors. The system tests and the demo use it.
//
// It is not part of the relay: nothing but tests and cmd/fairlead-demo imports
// it, and it needs root, iproute2 and util-linux. The programs come from
// scripts/packages.
//
//	Net         a set of namespaces, their links and processes; Close removes all
//	Node        one namespace: run a command in it, open a socket in it
//	Proc        a program that runs in a node, with its log
//	Topology    the usual network: clients - relay - core - server
//	Pump        a point-to-point link between two nodes, in place of PPP
//	Call        such a link by PPP: two pppd and a serial line; the kernel must have PPP
//
// The packages below it run the programs:
//
//	lab/peer     DHCP servers, relays and clients by other authors
//	lab/ike      strongSwan, libreswan and certificates for them
//	lab/script   a DHCPv6 server and client of our own, which can misbehave as a test needs
//	lab/routing  FRR and BIRD
//	lab/capture  tcpdump and tshark, and a strict reader of option lengths
//	lab/relay    the fairlead program itself
//	lab/labtest  what tests of that program have in common
//
// Nothing outside the namespaces is changed. Folders that are built into a program
// (/var/lib/dhcpcd) are replaced by private ones for that program. Several networks, in one
// process or in several, do not disturb each other: their namespaces have different names, and
// interface names and addresses are local to a namespace.
//
// If the process dies without Close (a panic, a kill -9), a small shell that
// waits on a pipe kills the programs and removes the namespaces and the files.
//
// All methods may be called from several goroutines at once. Nothing waits by sleeping: Until
// polls a condition and has a deadline.
package lab

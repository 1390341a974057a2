// Package ike runs strongSwan's charon in the nodes of a network, controls it by swanctl, as an
// administrator does, and makes the certificates that tests of IKEv2 (RFC 7296) need: valid ones,
// expired ones, and those of an authority that nobody trusts.
//
// A charon has its own configuration, control socket and log, so that one can run in each node.
// Without ESP in the kernel it answers on its socket and speaks IKE, but every child SA fails;
// with ESP (in the image "ipsec" of scripts/vm) everything works.
//
// Methods may be called from several goroutines, but not while Restart or Start
// runs.
package ike

// Package control is the operators' way into a running Fairlead: an interface
// over HTTP and JSON on a Unix socket, with roles and an audit log (RFC 4778
// section 2.2 and 2.7). It decides nothing about DHCP: a Backend answers, which the
// daemon is and tests fake. A "fairlead guard" has an interface of its own, with
// fewer paths over the same sockets, roles and audit: GuardBackend. The values that
// pass over it, and its clients, are package api's; here they are made of the cores'.
//
//	connection -> caller (peer credentials or certificate) -> role -> bounds -> Backend
//
// Server and Feed may be used from any goroutine.
package control

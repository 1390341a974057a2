// Package control is the operators' way into a running Fairlead: an interface
// over HTTP and JSON on a Unix socket, with roles and an audit log (RFC 4778
// section 2.2 and 2.7). It decides nothing about DHCP: a Backend answers, which is
// the daemon, or a fake in tests. A "fairlead guard" has an interface of its own, with
// fewer paths over the same sockets, roles and audit: GuardBackend. Package api
// has the values that pass over the interface, and its clients. This package makes the
// values from the cores' own.
//
//	connection -> caller (peer credentials or certificate) -> role -> bounds -> Backend
//
// Server and Feed may be used from any goroutine.
package control

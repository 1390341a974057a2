// Package control is how operators reach a running Fairlead: an interface over HTTP and JSON on a
// Unix socket, with roles and an audit log (RFC 4778 sections 2.2 and 2.7). It decides nothing
// about DHCP: a Backend answers, which is the daemon, or a fake in tests. A "fairlead guard" has
// an interface of its own, with fewer paths and the same kind of socket, roles and audit log:
// GuardBackend. Package api has the values that pass over the interface, and its clients. This
// package makes these values from the cores' own.
//
// A request goes from its connection to a caller (by peer credentials or certificate), to the
// caller's role, to the bounds, and then to the Backend.
//
// Any goroutine may use Server and Feed.
package control

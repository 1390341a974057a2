// Package control is the operators' way into a running Fairlead: an interface
// over HTTP and JSON on a Unix socket, with roles and an audit log (RFC 4778
// section 2.2 and 2.7), the values that it carries, and its client. It decides
// nothing about DHCP: a Backend answers, which the daemon is and tests fake. A
// "fairlead guard" has an interface of its own, with fewer paths over the same
// sockets, roles and audit: GuardBackend.
//
// All paths begin with /v1. Names in JSON are snake_case, times RFC 3339,
// lifetimes whole seconds or "infinite", DUIDs hexadecimal with colons. Watch
// and trace are streams of server-sent events. Within /v1 fields are added, and
// never renamed or removed.
//
//	connection -> caller (peer credentials or certificate) -> role -> bounds -> Backend
//
// Every value here is plain data, a copy of its owner's state: whoever gets one
// may keep it. Server, Feed and Client may be used from any goroutine.
package control

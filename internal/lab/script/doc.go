// Package script is a DHCPv6 server and a DHCPv6 client. The test that uses them chooses every
// message: several prefixes in one IA_PD, lifetimes of 0 or infinity, unknown message types,
// octets without meaning.
//
// They are not implementations of RFC 8415: they keep no leases and no timers. They use the
// relay's own codec to build and read messages, so they do not check that codec; lab/capture
// does.
//
// Each has at most one goroutine, owns its socket, and is closed with its network at the latest.
// All methods may be called concurrently.
package script

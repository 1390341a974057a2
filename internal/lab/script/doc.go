// Package script is a DHCPv6 server and a DHCPv6 client whose every message is
// chosen by the test that uses them: several prefixes in one IA_PD, lifetimes
// of 0 or infinity, unknown message types, octets that mean nothing.
//
// They are not implementations of RFC 8415: they keep no leases and no timers.
// They use the relay's own codec to build and read messages, so what they say
// about octets is no independent opinion; lab/capture gives that.
//
// Each has one goroutine or none, owns its socket, and is closed with its
// network at the latest. All methods may be called concurrently.
package script

package rig

import (
	"bytes"
	"fmt"
	"net/netip"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// Server is a played server.
type Server struct {
	*script.Server
	net *Net
}

// ToRelay is the address and port at which the relay of a topology hears servers.
var ToRelay = netip.AddrPortFrom(lab.RelayAddress, dhcp6.ServerPort)

// Send sends a datagram.
func (s *Server) Send(to netip.AddrPort, data []byte) {
	s.net.T.Helper()
	s.net.Need(s.Server.Send(to, data))
}

// Wait waits for the first request, among all that have come, for which found is true.
func (s *Server) Wait(what string, found func(script.Request) bool) script.Request {
	s.net.T.Helper()
	return must[script.Request](s.net)(s.Server.Wait(labtest.Patience, what, found))
}

// Await waits for a client's message with exactly these octets.
func (s *Server) Await(message []byte) script.Request {
	s.net.T.Helper()
	return s.Wait(fmt.Sprintf("the %v", dhcp6.MessageType(message[0])), func(q script.Request) bool { return bytes.Equal(q.Inner, message) })
}

// Heard returns the messages of a transaction that have come.
func (s *Server) Heard(message []byte) (found []script.Request) {
	for _, q := range s.Received() {
		if len(q.Inner) >= 4 && bytes.Equal(q.Inner[:4], message[:4]) {
			found = append(found, q)
		}
	}
	return found
}

// Close closes the socket.
func (s *Server) Close() {
	s.net.T.Helper()
	s.net.Need(s.Server.Close())
}

// Long returns a prefix with lifetimes that outlast every test.
func Long(p netip.Prefix) dhcp6.IAPrefix {
	return dhcp6.IAPrefix{Prefix: p, Preferred: 2000, Valid: 3000}
}

// Grants returns a server's behaviour: what it gives to an IA_PD. It has to be extended only
// after the end of every test.
func Grants(prefixes func(script.Request, dhcp6.IA) []dhcp6.IAPrefix) script.Grants {
	return script.Grants{T1: 1000, T2: 1600, Prefixes: prefixes}
}

// Always returns a server that gives each IA_PD the same prefixes.
func Always(prefixes ...netip.Prefix) script.Answer {
	var all []dhcp6.IAPrefix
	for _, p := range prefixes {
		all = append(all, Long(p))
	}
	return Grants(script.Always(all...)).Answer
}

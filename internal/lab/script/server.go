package script

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp6"
)

// maxRelays is how many relay layers Parse removes.
const maxRelays = 32

// Request is a message that came through relays, or directly.
type Request struct {
	Packet
	Relays  []dhcp6.RelayMessage // the outermost first
	Inner   []byte               // the message in the innermost layer
	Message dhcp6.Message        // Inner decoded, if that is possible
}

// Parse removes the relay layers.
func Parse(p Packet) (Request, error) {
	r := Request{Packet: p, Inner: p.Data}
	for len(r.Inner) > 0 && dhcp6.MessageType(r.Inner[0]).IsRelay() {
		layer, err := dhcp6.ParseRelay(r.Inner)
		if err != nil {
			return r, err
		}
		inner, ok := layer.Inner()
		if !ok || len(r.Relays) == maxRelays {
			return r, fmt.Errorf("script: relay layer %d carries no message", len(r.Relays)+1)
		}
		r.Relays = append(r.Relays, layer)
		r.Inner = inner
	}
	var err error
	r.Message, err = dhcp6.ParseMessage(r.Inner)
	return r, err
}

// Wrap puts a message for the client into Relay-replies that take it back on the way of the
// request, with the Interface-ID and Relay Source Port options of each layer.
func (r Request) Wrap(message []byte) []byte {
	for _, layer := range slices.Backward(r.Relays) {
		b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, layer.HopCount(), layer.LinkAddress(), layer.PeerAddress())
		for _, code := range []dhcp6.OptionCode{dhcp6.OptionInterfaceID, dhcp6.OptionRelayPort} {
			if payload, ok := layer.Options().First(code); ok {
				b = dhcp6.AppendOption(b, code, payload)
			}
		}
		message = dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, message)
	}
	return message
}

// Answer returns the datagrams that go back to where a request came from, or none. It is called
// for one request after the other.
type Answer func(Request) [][]byte

// Server is a socket on port 547, with the function that answers.
type Server struct {
	Address netip.Addr

	node   *lab.Node
	socket *socket
	done   chan struct{}

	mu       sync.Mutex // guards all following fields
	answer   Answer
	received []Request
}

// StartServer opens the socket of a server on an address of the node. If answer is nil, the
// server never answers.
func StartServer(d *lab.Node, address netip.Addr, answer Answer) (*Server, error) {
	socket, err := listen(d, netip.AddrPortFrom(address, dhcp6.ServerPort))
	if err != nil {
		return nil, err
	}
	s := &Server{Address: address, node: d, socket: socket, answer: answer, done: make(chan struct{})}
	go s.serve()
	return s, nil
}

func (s *Server) serve() {
	defer close(s.done)
	for {
		p, err := s.socket.receive(time.Time{})
		if err != nil {
			return
		}
		r, err := Parse(p)
		s.mu.Lock()
		s.received = append(s.received, r)
		answer := s.answer
		s.mu.Unlock()
		if err != nil || answer == nil {
			continue
		}
		for _, datagram := range answer(r) {
			_ = s.socket.send(p.From, datagram) // an error loses the answer, as any datagram may be lost
		}
	}
}

// Join makes the server receive what is sent to a multicast group on an interface. The server's
// address must be "::".
func (s *Server) Join(name string, group netip.Addr) error {
	found, err := s.node.Interface(name)
	if err != nil {
		return err
	}
	request := &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(found.Index)}
	var failed error
	err = s.socket.raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, request)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("script: join %s on %s: %w", group, name, err)
	}
	return nil
}

// Become makes the server answer by another function from now on.
func (s *Server) Become(answer Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// Send sends a datagram from the server's address and port.
func (s *Server) Send(to netip.AddrPort, data []byte) error { return s.socket.send(to, data) }

// Received returns all requests that have come so far, including those that could not be read.
func (s *Server) Received() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// Wait returns the first request for which found is true, among those received so far or within
// the limit.
func (s *Server) Wait(limit time.Duration, what string, found func(Request) bool) (Request, error) {
	var r Request
	err := lab.Until(limit, "the server receives "+what, func() bool {
		all := s.Received()
		i := slices.IndexFunc(all, found)
		if i >= 0 {
			r = all[i]
		}
		return i >= 0
	})
	return r, err
}

// Close closes the socket and waits until the last answer is given.
func (s *Server) Close() error {
	err := s.socket.close()
	<-s.done
	return err
}

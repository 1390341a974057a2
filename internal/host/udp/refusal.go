package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Refusal is an ICMP error about a datagram that left by a socket for peers.
type Refusal struct {
	Dest       netip.AddrPort // destination of the datagram
	Link       int            // set if Dest is a link-local address of IPv6
	From       netip.Addr     // sender of the error
	Type, Code uint8          // RFC 4443, or RFC 792 where Dest is IPv4
}

func (r Refusal) Error() string {
	protocol, all, codes := "ICMPv6", errors6, unreachables6
	if r.Dest.Addr().Is4() {
		protocol, all, codes = "ICMP", errors4, unreachables4
	}
	what := all[r.Type]
	if what == "" {
		what = "an error"
	}
	if what == unreachable && int(r.Code) < len(codes) {
		what = codes[r.Code]
	}
	return fmt.Sprintf("%s (%s type %d, code %d, from %s)", what, protocol, r.Type, r.Code, r.From)
}

const unreachable = "unreachable"

// Errors by their type, and the codes of Destination Unreachable (RFC 4443 section 3).
var (
	errors6 = map[uint8]string{
		1: unreachable, packetTooBig6: "packet too big", 3: "hop limit exceeded on the way", 4: "parameter problem",
	}
	unreachables6 = []string{
		"no route to destination", "administratively prohibited", "beyond scope of source address", "address unreachable",
		"port unreachable", "source address failed policy", "reject route to destination",
	}
)

const packetTooBig6 = 2

// The same of RFC 792, RFC 1122 section 3.2.2.1 and RFC 1812 section 5.2.7.1.
var (
	errors4 = map[uint8]string{
		unreachable4: unreachable, 11: "time to live exceeded on the way", 12: "parameter problem",
	}
	unreachables4 = []string{
		"network unreachable", "host unreachable", "protocol unreachable", "port unreachable", "fragmentation needed",
		"source route failed", "network unknown", "host unknown", "source host isolated", "network administratively prohibited",
		"host administratively prohibited", "network unreachable for this type of service", "host unreachable for this type of service",
		"administratively prohibited", "host precedence violation", "precedence cutoff",
	}
)

const (
	unreachable4         = 3
	fragmentationNeeded4 = 4 // code of unreachable4
)

// hearsRefusals reports whether the kernel keeps ICMP errors for s. It does for the sockets of
// peers only, because any client can cause errors about messages to clients.
func (s *socket) hearsRefusals() bool { return !s.frames && !s.shared }

// refusalsAtOnce bounds how many errors of a socket are read before its datagrams.
const refusalsAtOnce = 16

// refusals reads the errors that the kernel keeps for s. The socket counts as ready as long as
// there are any.
func (r *reader) refusals(s *socket) {
	var payload [1]byte
	var oob [oobRoom]byte
	for range refusalsAtOnce {
		_, n, _, dest, err := unix.Recvmsg(s.fd, payload[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		refusal, ok := r.conn.profile.readRefusal(oob[:n], dest)
		if ok && r.conn.options.Refused != nil {
			r.conn.options.Refused(refusal)
		}
	}
}

// readRefusal reads a struct sock_extended_err, which the address follows. A packet that is too
// big is left to the kernel, which sends fragments from then on.
func (p *profile) readRefusal(oob []byte, dest unix.Sockaddr) (r Refusal, ok bool) {
	to, link, ok := p.fromSockaddr(dest)
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || !ok {
		return r, false
	}
	for _, m := range messages {
		const size = 16
		if int(m.Header.Level) != p.level || int(m.Header.Type) != p.receivedError || len(m.Data) < size+p.nameLen {
			continue
		}
		if m.Data[4] != p.errorOrigin || p.tooBig(m.Data[5], m.Data[6]) {
			continue
		}
		r.Dest, r.Type, r.Code = to, m.Data[5], m.Data[6]
		if p.scoped(to.Addr()) {
			r.Link = link
		}
		if offender := m.Data[size:]; int(binary.NativeEndian.Uint16(offender)) == p.domain {
			r.From = p.addr(offender[p.nameAt:])
		}
		return r, true
	}
	return r, false
}

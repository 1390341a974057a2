package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Refusal is an ICMPv6 error about a datagram that left by a socket for peers.
type Refusal struct {
	Dest       netip.AddrPort // where the datagram was to go
	Link       int            // if that is a link-local address
	From       netip.Addr     // who says so
	Type, Code uint8          // RFC 4443
}

func (r Refusal) Error() string {
	what := "an error"
	switch r.Type {
	case unreachable:
		what = "unreachable"
		if int(r.Code) < len(unreachables) {
			what = unreachables[r.Code]
		}
	case timeExceeded:
		what = "hop limit exceeded on the way"
	case parameterProblem:
		what = "parameter problem"
	}
	return fmt.Sprintf("%s (ICMPv6 type %d, code %d, from %s)", what, r.Type, r.Code, r.From)
}

// Types of ICMPv6 errors (RFC 4443 section 3).
const (
	unreachable      = 1
	packetTooBig     = 2
	timeExceeded     = 3
	parameterProblem = 4
)

// unreachables are the codes of Destination Unreachable (RFC 4443 section 3.1).
var unreachables = [...]string{
	"no route to destination", "administratively prohibited", "beyond scope of source address", "address unreachable",
	"port unreachable", "source address failed policy", "reject route to destination",
}

// hearsRefusals says whether the kernel keeps for s what comes back by ICMPv6: for
// the sockets of peers alone, since any client can make errors for those of clients.
func (s *socket) hearsRefusals() bool { return !s.frames && !s.shared }

// refusalsAtOnce bounds how many errors of a socket are read before its datagrams.
const refusalsAtOnce = 16

// refusals reads the errors that the kernel keeps for s. As long as there are any,
// the socket counts as ready.
func (r *reader) refusals(s *socket) {
	var payload [1]byte
	var oob [oobRoom]byte
	for range refusalsAtOnce {
		_, n, _, dest, err := unix.Recvmsg(s.fd, payload[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		refusal, ok := readRefusal(oob[:n], dest)
		if ok && r.conn.options.Refused != nil {
			r.conn.options.Refused(refusal)
		}
	}
}

// readRefusal reads a struct sock_extended_err with the address behind it. A packet
// that is too big is the kernel's business: it sends fragments from then on.
func readRefusal(oob []byte, dest unix.Sockaddr) (r Refusal, ok bool) {
	to, isIPv6 := dest.(*unix.SockaddrInet6)
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || !isIPv6 {
		return r, false
	}
	for _, m := range messages {
		const size = 16
		if m.Header.Level != unix.IPPROTO_IPV6 || m.Header.Type != unix.IPV6_RECVERR || len(m.Data) < size+unix.SizeofSockaddrInet6 {
			continue
		}
		if m.Data[4] != unix.SO_EE_ORIGIN_ICMP6 || m.Data[5] == packetTooBig {
			continue
		}
		r.Dest, r.Type, r.Code = netip.AddrPortFrom(netip.AddrFrom16(to.Addr), uint16(to.Port)), m.Data[5], m.Data[6]
		if r.Dest.Addr().IsLinkLocalUnicast() {
			r.Link = int(to.ZoneId)
		}
		if offender := m.Data[size:]; binary.NativeEndian.Uint16(offender) == unix.AF_INET6 {
			r.From = netip.AddrFrom16([16]byte(offender[8:24]))
		}
		return r, true
	}
	return r, false
}

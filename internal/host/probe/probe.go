// Package probe finds out whether a next hop on a client-facing link still answers. On links with
// link-layer addresses it sends a Neighbor Solicitation to the one with which the next hop was
// seen (RFC 4861 section 7.2), elsewhere an echo request (RFC 4443 section 4.1).
//
// It does not use the kernel's neighbour table, which clients can fill. Only an answer from the
// address and the link-layer address that were asked counts. Silence counts only if the question
// was really sent for the whole time; everything else is an error. Each call opens a socket,
// whose filter lets only answers pass, and closes it. The caller bounds how many calls run at
// once. No call holds a thread while it waits.
package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/linkaddr"
)

// every is the time between two tries. RETRANS_TIMER of RFC 4861 section 10 is one second; this
// is less, so that a probe of a few seconds survives a lost packet.
const every = 700 * time.Millisecond

// Errors of a probe, besides those of the kernel.
var (
	// ErrNoAddress says that the link has no address to send the question from.
	ErrNoAddress = errors.New("no link-local address")
	// ErrNotAsked says that the question could not be sent, so that silence tells nothing.
	ErrNotAsked = errors.New("the question did not leave")
)

// Answers asks addr, on the interface with that index, until addr answers or ctx's deadline has
// passed. Where linkLayer is known, only an answer from it counts. If ctx is cancelled, the error
// wraps context.Canceled. On a link that is down nobody answers.
func Answers(ctx context.Context, index int, addr netip.Addr, linkLayer linkaddr.Addr) (bool, error) {
	ifi, err := net.InterfaceByIndex(index)
	if err != nil {
		return false, fmt.Errorf("probe: %w", err)
	}
	from, err := linkLocal(ifi)
	if err != nil {
		return false, fmt.Errorf("probe: %s: %w", ifi.Name, err)
	}
	var q query
	if len(ifi.HardwareAddr) == 6 {
		q, err = newSolicitation(ifi, from, addr, linkLayer)
	} else {
		q, err = newEcho(ifi, addr)
	}
	if err != nil {
		return false, fmt.Errorf("probe: %s: %w", ifi.Name, err)
	}
	there, err := q.run(ctx)
	if err != nil {
		return false, fmt.Errorf("probe: %s: %w", ifi.Name, err)
	}
	return there, nil
}

func linkLocal(ifi *net.Interface) (netip.Addr, error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsLinkLocalUnicast() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, ErrNoAddress
}

// query is one question: what is sent, where it goes, and what counts as its answer.
type query struct {
	socket  *os.File
	packet  []byte
	to      unix.Sockaddr
	answers func(packet []byte, from unix.Sockaddr) bool
}

// slice is how soon a probe notices that its context was cancelled.
const slice = 100 * time.Millisecond

func (q *query) run(ctx context.Context) (there bool, err error) {
	defer func() { err = errors.Join(err, q.socket.Close()) }()
	raw, err := q.socket.SyscallConn()
	if err != nil {
		return false, err
	}
	buf := make([]byte, 2048)
	var again time.Time
	asked, full := false, false
	for ctx.Err() == nil {
		if at := time.Now(); !at.Before(again) {
			again = at.Add(every)
			sent := q.ask(raw)
			if sent != nil && !isDark(sent) && !errors.Is(sent, unix.ENOBUFS) {
				return false, fmt.Errorf("send: %w", sent)
			}
			asked = asked || sent == nil
			full = full || errors.Is(sent, unix.ENOBUFS)
		}
		if err := q.socket.SetReadDeadline(time.Now().Add(min(slice, time.Until(again)))); err != nil {
			return false, err
		}
		if q.listen(raw, buf, true) {
			return true, nil
		}
	}
	switch {
	case q.listen(raw, buf, false): // it came while this process was not running
		return true, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return false, ctx.Err()
	case full && !asked:
		return false, ErrNotAsked
	}
	return false, nil
}

func (q *query) ask(raw syscall.RawConn) (err error) {
	failed := raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), q.packet, unix.MSG_DONTWAIT, q.to) })
	if errors.Is(err, unix.EAGAIN) {
		err = unix.ENOBUFS
	}
	return errors.Join(failed, err)
}

// listen reads the packets that are there. If wait is set, it waits for more until the deadline.
func (q *query) listen(raw syscall.RawConn, buf []byte, wait bool) (found bool) {
	read := func(fd uintptr) bool {
		for {
			n, from, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			switch {
			case err == nil:
				if found = q.answers(buf[:n], from); found {
					return true
				}
			case errors.Is(err, unix.EAGAIN):
				return !wait
			case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN): // the link's error is reported once
			default:
				return true
			}
		}
	}
	if wait {
		_ = raw.Read(read) // its error is that of the deadline
	} else {
		_ = raw.Control(func(fd uintptr) { read(fd) })
	}
	return found
}

// isDark reports whether an error says that the link is down or has no carrier, so that nobody on
// it can answer.
func isDark(err error) bool {
	return errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH)
}

const (
	ipv6Header    = 40
	nextICMP6     = 58
	typeEcho      = 128
	typeEchoReply = 129
	typeNS        = 135
	typeNA        = 136
	neighbourLen  = 24 // Neighbor Solicitation and Advertisement without options
)

// newSolicitation asks by a frame of our own. It goes to the link-layer address where that is
// known, so that nobody else can answer, otherwise to the solicited-node group (RFC 4291 section
// 2.7.1).
func newSolicitation(ifi *net.Interface, from, addr netip.Addr, linkLayer linkaddr.Addr) (query, error) {
	q := query{}
	target := addr.As16()
	dest, mac := target, linkLayer.Append(nil)
	if len(mac) != 6 {
		dest = [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: target[13], 14: target[14], 15: target[15]}
		mac = []byte{0x33, 0x33, dest[12], dest[13], dest[14], dest[15]}
	}
	icmp := make([]byte, neighbourLen, neighbourLen+8)
	icmp[0] = typeNS
	copy(icmp[8:], target[:])
	icmp = append(icmp, 1, 1) // source link-layer address
	icmp = append(icmp, ifi.HardwareAddr...)
	q.packet = packet(from.As16(), dest, icmp)

	// With protocol 0 nothing arrives before the filter is in place.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return q, err
	}
	filter := advertisements(target)
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: order(unix.ETH_P_IPV6), Ifindex: ifi.Index})
	}
	if err != nil {
		return q, errors.Join(err, unix.Close(fd))
	}
	to := &unix.SockaddrLinklayer{Protocol: order(unix.ETH_P_IPV6), Ifindex: ifi.Index, Halen: 6}
	copy(to.Addr[:], mac)
	q.socket, q.to = os.NewFile(uintptr(fd), "probe"), to
	q.answers = func(p []byte, from unix.Sockaddr) bool {
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING || len(p) < ipv6Header+neighbourLen || p[6] != nextICMP6 || p[7] != 255 || p[ipv6Header] != typeNA {
			return false
		}
		if [16]byte(p[ipv6Header+8:]) != target {
			return false
		}
		return !linkLayer.IsValid() || linkaddr.From(ll.Addr[:ll.Halen]) == linkLayer
	}
	return q, nil
}

// advertisements lets only Neighbor Advertisements for a target pass, so that on a busy link
// other packets do not fill the socket's buffer.
func advertisements(target [16]byte) []unix.SockFilter {
	tests := []struct {
		size   uint16
		offset uint32
		want   uint32
	}{
		{unix.BPF_B, 6, nextICMP6},
		{unix.BPF_B, ipv6Header, typeNA},
		{unix.BPF_W, ipv6Header + 8, binary.BigEndian.Uint32(target[0:])},
		{unix.BPF_W, ipv6Header + 12, binary.BigEndian.Uint32(target[4:])},
		{unix.BPF_W, ipv6Header + 16, binary.BigEndian.Uint32(target[8:])},
		{unix.BPF_W, ipv6Header + 20, binary.BigEndian.Uint32(target[12:])},
	}
	var filter []unix.SockFilter
	for i, t := range tests {
		rest := uint8(2*(len(tests)-i) - 1) // number of instructions to the last one
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_LD | t.size | unix.BPF_ABS, K: t.offset},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: rest, K: t.want})
	}
	return append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0})
}

func order(v uint16) uint16 { return v<<8 | v>>8 }

// packet is an IPv6 packet with an ICMPv6 message and its checksum (RFC 4443 section 2.3).
// Neighbor discovery requires the hop limit 255.
func packet(from, to [16]byte, icmp []byte) []byte {
	b := make([]byte, ipv6Header, ipv6Header+len(icmp))
	b[0], b[6], b[7] = 0x60, nextICMP6, 255
	binary.BigEndian.PutUint16(b[4:], uint16(len(icmp)))
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	b = append(b, icmp...)
	sum := uint32(len(icmp) + nextICMP6)
	for i := 8; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[ipv6Header+2:], ^uint16(sum))
	return b
}

// newEcho asks by an echo request, on links without link-layer addresses.
func newEcho(ifi *net.Interface, addr netip.Addr) (query, error) {
	q := query{packet: []byte{typeEcho, 0, 0, 0, 0xfa, 0x1e, 0, 1}}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
	if err != nil {
		return q, err
	}
	var only unix.ICMPv6Filter // RFC 3542 section 3.2: a set bit blocks
	for i := range only.Data {
		only.Data[i] = ^uint32(0)
	}
	only.Data[typeEchoReply>>5] &^= 1 << (typeEchoReply & 31)
	err = unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &only)
	if err == nil {
		err = unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, ifi.Name)
	}
	if err != nil {
		return q, errors.Join(err, unix.Close(fd))
	}
	q.socket = os.NewFile(uintptr(fd), "probe")
	q.to = &unix.SockaddrInet6{ZoneId: uint32(ifi.Index), Addr: addr.As16()}
	q.answers = func(p []byte, from unix.Sockaddr) bool {
		a, ok := from.(*unix.SockaddrInet6)
		if !ok || len(p) < 8 || p[0] != typeEchoReply || a.Addr != addr.As16() {
			return false
		}
		return !addr.IsLinkLocalUnicast() || a.ZoneId == uint32(ifi.Index)
	}
	return q, nil
}

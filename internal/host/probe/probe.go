// Package probe finds out whether a next hop on a client-facing link still
// answers: by a Neighbor Solicitation to the very link-layer address that it
// was seen with (RFC 4861 section 7.2) on links that have such addresses, by an
// echo request elsewhere (RFC 4443 section 4.1).
//
// It does not use the kernel's neighbour table, which clients can fill. What it
// tells is what was heard: an answer from the address and the link-layer
// address asked for. Each Probe opens a socket of its own and closes it; how
// many run at once is the caller's to bound.
package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/linkaddr"
)

// every is the time between two tries (RFC 4861 section 10, RETRANS_TIMER, is a
// second; a probe has three in all).
const every = 700 * time.Millisecond

// ErrNoAddress says that the link has no address to ask from.
var ErrNoAddress = errors.New("no link-local address")

// Answers asks addr on the interface with that index until it answers or ctx
// ends. Where linkLayer is known, only an answer from it counts.
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
	defer unix.Close(q.fd)
	return q.run(ctx)
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

// query is one question, where it goes, and what counts as its answer.
type query struct {
	fd      int
	packet  []byte
	to      unix.Sockaddr
	answers func(packet []byte, from unix.Sockaddr) bool
}

func (q *query) run(ctx context.Context) (bool, error) {
	buf := make([]byte, 2048)
	for ctx.Err() == nil {
		if err := unix.Sendto(q.fd, q.packet, 0, q.to); err != nil && !isDark(err) {
			return false, fmt.Errorf("probe: send: %w", err)
		}
		for again := time.Now().Add(every); ctx.Err() == nil; {
			left := time.Until(again)
			if left <= 0 {
				break
			}
			ready, err := unix.Poll([]unix.PollFd{{Fd: int32(q.fd), Events: unix.POLLIN}}, int(min(left, 100*time.Millisecond)/time.Millisecond)+1)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return false, fmt.Errorf("probe: wait: %w", err)
			}
			if ready <= 0 {
				continue
			}
			n, from, err := unix.Recvfrom(q.fd, buf, unix.MSG_DONTWAIT)
			if err == nil && q.answers(buf[:n], from) {
				return true, nil
			}
		}
	}
	return false, nil
}

// isDark reports whether an error is the link's own: it is down or has no
// carrier, and nobody on it answers.
func isDark(err error) bool {
	return errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH)
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

// newSolicitation asks by a frame of our own: to the link-layer address where it
// is known, so that nobody else can answer for it, else to the solicited-node
// group (RFC 4291 section 2.7.1).
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

	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(order(unix.ETH_P_IPV6)))
	if err != nil {
		return q, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: order(unix.ETH_P_IPV6), Ifindex: ifi.Index}); err != nil {
		return q, errors.Join(err, unix.Close(fd))
	}
	to := &unix.SockaddrLinklayer{Protocol: order(unix.ETH_P_IPV6), Ifindex: ifi.Index, Halen: 6}
	copy(to.Addr[:], mac)
	q.fd, q.to = fd, to
	q.answers = func(p []byte, from unix.Sockaddr) bool {
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || len(p) < ipv6Header+neighbourLen || p[6] != nextICMP6 || p[7] != 255 || p[ipv6Header] != typeNA {
			return false
		}
		if [16]byte(p[ipv6Header+8:]) != target {
			return false
		}
		return !linkLayer.IsValid() || linkaddr.From(ll.Addr[:ll.Halen]) == linkLayer
	}
	return q, nil
}

func order(v uint16) uint16 { return v<<8 | v>>8 }

// packet is an IPv6 packet with an ICMPv6 message and its checksum (RFC 4443
// section 2.3). Hop limit 255 is what neighbour discovery demands.
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

// newEcho asks with an echo request, on links without link-layer addresses.
func newEcho(ifi *net.Interface, addr netip.Addr) (query, error) {
	q := query{packet: []byte{typeEcho, 0, 0, 0, 0xfa, 0x1e, 0, 1}}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return q, err
	}
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, ifi.Name); err != nil {
		return q, errors.Join(err, unix.Close(fd))
	}
	q.fd = fd
	q.to = &unix.SockaddrInet6{ZoneId: uint32(ifi.Index), Addr: addr.As16()}
	q.answers = func(p []byte, from unix.Sockaddr) bool {
		a, ok := from.(*unix.SockaddrInet6)
		return ok && a.Addr == addr.As16() && len(p) >= 8 && p[0] == typeEchoReply
	}
	return q, nil
}

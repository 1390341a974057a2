//go:build vm

package ipsec_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
)

// intruderMAC marks the frames that tests put on the wire, so that they are not
// taken for those of the two ends.
const intruderMAC = "02:00:00:00:66:66"

// intruder puts frames on the wire towards either end.
type intruder struct {
	toRelay, toServer *labtest.Thrower
}

// packet is a datagram in clear, as if from the other end.
func (i *intruder) packet(x *labtest.Thrower, from, to netip.AddrPort, payload []byte) []byte {
	mac, err := net.ParseMAC(intruderMAC)
	if err != nil {
		panic(err)
	}
	return x.Packet(mac, x.Peer, from, to, payload)
}

// wire is a recording of what passes between two ends, intruders left out.
type wire struct {
	t       *testing.T
	node    *lab.Node
	capture *capture.Capture
}

func record(t *testing.T, d *lab.Node, link string) *wire {
	t.Helper()
	c, err := capture.Start(d, link, "not arp and not ether src "+intruderMAC)
	need(t, err)
	return &wire{t: t, node: d, capture: c}
}

// neighbourly is what hosts on a link say about themselves, in tcpdump's words.
// Errors of ICMP are not: they quote what they are about.
var neighbourly = []string{"neighbor solicitation", "neighbor advertisement", "multicast listener", "router solicitation", "igmp"}

// lines is what tcpdump prints of all that was recorded so far, but for the
// neighbours' talk about themselves.
func (x *wire) lines() (lines []string) {
	x.t.Helper()
	// A file that grows may end inside a packet; it says so after the others.
	out, err := x.node.Run("tcpdump", "-Z", "root", "-n", "-r", x.capture.File)
	if out == "" {
		need(x.t, err)
	}
	for line := range strings.Lines(out) {
		if !slices.ContainsFunc(neighbourly, func(word string) bool { return strings.Contains(line, word) }) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// isESP and isIKE tell by tcpdump's words. An ICMP error about IKE quotes nothing
// of DHCP.
func isESP(line string) bool { return strings.Contains(line, ": ESP(spi=0x") }

func isIKE(line string) bool {
	return strings.Contains(line, ": isakmp: ") || strings.Contains(line, "udp port 500, length")
}

// onlyESP fails unless every packet since the line of that number is ESP or IKE.
// It returns how many lines there are now, and how many of the new ones are ESP.
func (x *wire) onlyESP(from int) (now, esp int) {
	x.t.Helper()
	lines := x.lines()
	for _, line := range lines[from:] {
		switch {
		case isESP(line):
			esp++
		case !isIKE(line):
			x.t.Errorf("in clear: %s", line)
		}
	}
	return len(lines), esp
}

// spis are the SPIs of ESP packets from an address since the line of that number.
func (x *wire) spis(from int, source netip.Addr) map[string]int {
	x.t.Helper()
	found := make(map[string]int)
	for _, line := range x.lines()[from:] {
		if !isESP(line) || !strings.Contains(line, fmt.Sprintf(" %s > ", source)) {
			continue
		}
		_, rest, _ := strings.Cut(line, "spi=")
		spi, _, _ := strings.Cut(rest, ",")
		found[spi]++
	}
	return found
}

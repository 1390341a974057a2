package protected

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
)

// Wire is a recording of what passes between two ends.
type Wire struct {
	T       *testing.T // that fails if the recording does
	Capture *capture.Capture

	node  *lab.Node
	link  string
	marks uint16 // how many there were
}

// Record records what passes an interface and matches a tcpdump filter.
func Record(t *testing.T, d *lab.Node, link, filter string) *Wire {
	t.Helper()
	c, err := capture.Start(d, link, "("+filter+") or ether proto 0x9000")
	need(t, err)
	return &Wire{T: t, Capture: c, node: d, link: link}
}

// neighbourly is what hosts on a link say about themselves, in tcpdump's words.
// Errors of ICMP are not: they quote what they are about.
var neighbourly = []string{"neighbor solicitation", "neighbor advertisement", "multicast listener", "router solicitation", "igmp"}

// Lines is what tcpdump prints of all that has passed so far, but for the
// neighbours' talk about themselves.
func (x *Wire) Lines(options ...string) (lines []string) {
	x.T.Helper()
	x.marks++
	word := fmt.Sprintf("%s%d,", marked, x.marks)
	need(x.T, lab.Until(written, "the recording has "+word, func() (found bool) {
		need(x.T, x.mark())
		var err error
		lines, err = x.Capture.Lines(options...)
		need(x.T, err)
		return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, word) })
	}))
	return slices.DeleteFunc(lines, func(line string) bool {
		return strings.Contains(line, marked) ||
			slices.ContainsFunc(neighbourly, func(word string) bool { return strings.Contains(line, word) })
	})
}

// isESP and isIKE tell by tcpdump's words. An error of ICMP or ICMPv6 about IKE
// belongs to IKE: where strongSwan was killed, the kernel sends one for each
// message that the other end still sends to port 500, and it quotes nothing of DHCP.
func isESP(line string) bool { return strings.Contains(line, ": ESP(spi=0x") }

func isIKE(line string) bool {
	return strings.Contains(line, ": isakmp: ") ||
		strings.Contains(line, "udp port 500, length") || // ICMPv6
		strings.Contains(line, "udp port 500 unreachable, length") // ICMP
}

// OnlyESP fails unless every packet since the line of that number is ESP or IKE.
// It returns how many lines there are now, and how many of the new ones are ESP.
func (x *Wire) OnlyESP(from int) (now, esp int) {
	x.T.Helper()
	lines := x.Lines()
	for _, line := range lines[from:] {
		switch {
		case isESP(line):
			esp++
		case !isIKE(line):
			x.T.Errorf("in clear: %s", line)
		}
	}
	return len(lines), esp
}

// ESP counts the ESP packets between two addresses.
func (x *Wire) ESP(source, dest netip.Addr) (n int) {
	x.T.Helper()
	for _, line := range x.Lines() {
		if isESP(line) && strings.Contains(line, fmt.Sprintf(" %s > %s: ", source, dest)) {
			n++
		}
	}
	return n
}

// SPIs are those of ESP packets from an address since the line of that number, as
// tcpdump prints them, and how many packets each has.
func (x *Wire) SPIs(from int, source netip.Addr) map[string]int {
	x.T.Helper()
	found := make(map[string]int)
	for _, line := range x.Lines()[from:] {
		if !isESP(line) || !strings.Contains(line, fmt.Sprintf(" %s > ", source)) {
			continue
		}
		_, rest, _ := strings.Cut(line, "spi=")
		spi, _, _ := strings.Cut(rest, ",")
		found[spi]++
	}
	return found
}

package protected

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/lab"
	"fairlead/internal/system/rig"
)

// Wire is a recording of the packets between two ends.
type Wire struct {
	Capture *rig.Capture

	net   *rig.Net
	host  *rig.Host
	link  string
	marks uint16 // how many marks there were
}

// Record records what passes an interface and matches a tcpdump filter.
func Record(h *rig.Host, link, filter string) *Wire {
	h.Net.T.Helper()
	return &Wire{Capture: h.Record(link, "("+filter+") or ether proto 0x9000"), net: h.Net, host: h, link: link}
}

// neighbourly are the messages that hosts on a link send about themselves, as tcpdump prints
// them. ICMP errors do not belong to them, because they contain a part of the packet that they
// are about.
var neighbourly = []string{"neighbor solicitation", "neighbor advertisement", "multicast listener", "router solicitation", "igmp"}

// Lines returns what tcpdump prints of everything that has passed so far, without neighbourly
// messages.
func (x *Wire) Lines(options ...string) (lines []string) {
	x.net.T.Helper()
	x.marks++
	word := fmt.Sprintf("%s%d,", marked, x.marks)
	x.net.Need(lab.Until(written, "the recording has "+word, func() (found bool) {
		x.net.Need(x.mark())
		var err error
		lines, err = x.Capture.Lines(options...)
		x.net.Need(err)
		return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, word) })
	}))
	return slices.DeleteFunc(lines, func(line string) bool {
		return strings.Contains(line, marked) ||
			slices.ContainsFunc(neighbourly, func(word string) bool { return strings.Contains(line, word) })
	})
}

// isESP and isIKE decide by what tcpdump prints. An ICMP or ICMPv6 error about IKE counts as IKE:
// after strongSwan was killed, the kernel sends such an error for each message that the other end
// still sends to port 500, and it contains nothing of DHCP.
func isESP(line string) bool { return strings.Contains(line, ": ESP(spi=0x") }

func isIKE(line string) bool {
	return strings.Contains(line, ": isakmp: ") ||
		strings.Contains(line, "udp port 500, length") || // ICMPv6
		strings.Contains(line, "udp port 500 unreachable, length") // ICMP
}

// OnlyESP fails unless every packet since the line of that number is ESP or IKE. It returns how
// many lines there are now, and how many of the new ones are ESP.
func (x *Wire) OnlyESP(from int) (now, esp int) {
	x.net.T.Helper()
	lines := x.Lines()
	for _, line := range lines[from:] {
		switch {
		case isESP(line):
			esp++
		case !isIKE(line):
			x.net.T.Errorf("in clear: %s", line)
		}
	}
	return len(lines), esp
}

// WantESP does the same, and also fails unless at least so many of the new lines are ESP.
func (x *Wire) WantESP(from, least int) {
	x.net.T.Helper()
	if _, esp := x.OnlyESP(from); esp < least {
		x.net.T.Errorf("%d ESP packets, want at least %d", esp, least)
	}
}

// ESP counts the ESP packets between two addresses.
func (x *Wire) ESP(source, dest netip.Addr) (n int) {
	x.net.T.Helper()
	for _, line := range x.Lines() {
		if isESP(line) && strings.Contains(line, fmt.Sprintf(" %s > %s: ", source, dest)) {
			n++
		}
	}
	return n
}

// SPIs returns the SPIs of ESP packets from an address since the line of that number, as tcpdump
// prints them, and how many packets each has.
func (x *Wire) SPIs(from int, source netip.Addr) map[string]int {
	x.net.T.Helper()
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

//go:build vm

package ipsec4_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
)

// wire is a recording of what passes between the two ends.
type wire struct {
	t       *testing.T
	node    *lab.Node
	capture *capture.Capture
}

func record(t *testing.T, d *lab.Node, link string) *wire {
	t.Helper()
	c, err := capture.Start(d, link, "ip and not ether src "+strangerMAC+" and not host "+stranger.String())
	need(t, err)
	return &wire{t: t, node: d, capture: c}
}

// lines is what tcpdump prints of all that was recorded so far.
func (x *wire) lines(options ...string) (lines []string) {
	x.t.Helper()
	// A file that grows may end inside a packet; it says so after the others.
	out, err := x.node.Run(append([]string{"tcpdump", "-Z", "root", "-n", "-r", x.capture.File}, options...)...)
	if out == "" {
		need(x.t, err)
	}
	for line := range strings.Lines(out) {
		if !strings.Contains(line, " igmp ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// isESP and isIKE tell by tcpdump's words.
func isESP(line string) bool { return strings.Contains(line, ": ESP(spi=0x") }
func isIKE(line string) bool { return strings.Contains(line, ": isakmp: ") }

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

// esp counts the ESP packets between two addresses.
func (x *wire) esp(source, dest netip.Addr) (n int) {
	x.t.Helper()
	for _, line := range x.lines() {
		if isESP(line) && strings.Contains(line, fmt.Sprintf(" %s > %s: ", source, dest)) {
			n++
		}
	}
	return n
}

// clear are the lines since that number with DHCPv4 that anybody can read.
func (x *wire) clear(from int) (lines []string) {
	x.t.Helper()
	for _, line := range x.lines()[from:] {
		if strings.Contains(line, "BOOTP/DHCP") {
			lines = append(lines, line)
		}
	}
	return lines
}

package capture_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

const patience = 30 * time.Second

var need = labtest.Need

// wire joins a client and a server with a cable, and records what passes it.
func wire(t *testing.T) (*script.Client, *script.Server, *capture.Capture) {
	t.Helper()
	a, b := labtest.Pair(t, "a", "c0", "b", "s0")
	server, err := script.StartServer(b, netip.IPv6Unspecified(), nil)
	need(t, err)
	need(t, server.Join("s0", dhcp6.AllRelayAgentsAndServers))
	client, err := script.StartClient(a, script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}})
	need(t, err)
	c, err := capture.Start(b, "s0", capture.DHCPv6)
	need(t, err)
	return client, server, c
}

func TestGoodTrafficPasses(t *testing.T) {
	client, server, c := wire(t)
	server.Become(script.Grants{Prefixes: script.Always(dhcp6.IAPrefix{
		Prefix: netip.MustParsePrefix("2001:db8:1100::/56"), Preferred: 20, Valid: 30,
	})}.Answer)
	_, err := client.Obtain(patience, 7)
	need(t, err)
	rows, err := c.Wait(patience, "dhcpv6.msgtype == 7", "dhcpv6.msgtype", "dhcpv6.iaprefix.pref_addr", "dhcpv6.iaprefix.pref_len")
	need(t, err)
	if got := strings.Join(rows[0], " "); got != "7 2001:db8:1100:: 56" {
		t.Errorf("tshark reads the Reply as %q", got)
	}
	need(t, c.Stop())
	need(t, c.Check())
	lines, err := c.Lines("udp", "dst", "port", "547")
	need(t, err)
	if len(lines) < 2 || !strings.Contains(lines[0], "dhcp6 solicit") || !strings.Contains(lines[len(lines)-1], "dhcp6 request") {
		t.Errorf("tcpdump reads what the client sent as %q", lines)
	}
	if lines, err := c.Lines("port", "53"); err != nil || len(lines) != 0 {
		t.Errorf("of what there is none tcpdump reads %q, %v", lines, err)
	}
}

func TestLyingLengthIsFound(t *testing.T) {
	client, server, c := wire(t)
	message := append(client.Message(dhcp6.Solicit), 0, 14, 0, 9, 1) // an option with the length 9, of which only one octet is there
	need(t, client.Send(message))
	_, err := server.Wait(patience, "the message", func(script.Request) bool { return true })
	need(t, err)
	_, err = c.Wait(patience, "udp.dstport == 547", "frame.number")
	need(t, err)
	need(t, c.Stop())
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "option 14 says 9 octets, 1 are left") {
		t.Errorf("Check = %v, want that option 14 does not fit", err)
	}
}

func TestEmptyCaptureIsNoProof(t *testing.T) {
	_, _, c := wire(t)
	need(t, c.Stop())
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "holds no DHCPv6") {
		t.Errorf("Check = %v, want that there is nothing", err)
	}
}

func TestWalk(t *testing.T) {
	solicit := "01000007" + "0001000a" + "00030001020000000001" + // client-id
		"0019" + "0029" + "0000000700000000" + "00000000" + "001a0019" + "0000001e0000003c38" + "20010db8110000000000000000000000"
	relayed := "0c00" + strings.Repeat("00", 32) + "0009" + "003f" + solicit
	for _, tt := range []struct {
		name, octets, want string
	}{
		{"solicit", solicit, ""},
		{"relayed", relayed, ""},
		{"nothing", "", "message: 0 octets, want at least 4"},
		{"unknown type", "63000001", ""},
		{"short relay", "0c0000", "message: 3 octets, want at least 34"},
		{"half an option", "0100000700", "message/type 1: 1 octets left, no option fits"},
		{"long option", "01000007000100ff00", "message/type 1: option 1 says 255 octets, 1 are left"},
		{"cut inside", relayed[:len(relayed)-2], "message/type 12: option 9 says 63 octets, 62 are left"},
		{"short IA", "010000070019000400000007", "message/type 1/option 25: 4 octets, want at least 12"},
		{"long prefix", strings.Replace(solicit, "3c38", "3c81", 1), "message/type 1/option 25/option 26: prefix-length 129"},
		{"lie in a relayed message", strings.Replace(relayed, "001a0019", "001a001a", 1), "message/type 12/type 1/option 25: option 26 says 26 octets, 25 are left"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			octets, err := hex.DecodeString(tt.octets)
			need(t, err)
			got := ""
			if err := capture.Walk(octets); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Walk(%s) = %q, want %q", tt.octets, got, tt.want)
			}
		})
	}
}

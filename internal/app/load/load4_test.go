package load_test

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
)

// everything4 is a mix in which every kind of DHCPv4 comes up; 10 is the sum of weights.
const everything4 = "discover=2,request=2,renew=2,rebind=1,inform=1,four-way=2"

func wantKinds(t *testing.T, got outcome, times int, weights string) {
	t.Helper()
	for part := range strings.SplitSeq(weights, ",") {
		name, weight, _ := strings.Cut(part, "=")
		want := times * int(weight[0]-'0')
		if k := got.Kinds[name]; k.Offered != want || k.Answered != want {
			t.Errorf("%s: offered %d, answered %d, want %d", name, k.Offered, k.Answered, want)
		}
	}
}

// wantWellFormed checks that tshark finds nothing wrong in any DHCPv4 message.
func wantWellFormed(t *testing.T, tap *capture.Capture) {
	t.Helper()
	rows, err := tap.Fields(`dhcp && (_ws.malformed || _ws.expert.severity >= "Warning")`, "frame.number", "_ws.expert.message")
	need(t, err)
	for _, row := range rows {
		t.Errorf("tshark objects to frame %s: %s", row[0], row[1])
	}
}

// Kea on the link answers every kind of exchange, and tshark finds nothing wrong with the
// messages: a client without an address sends from 0.0.0.0, and only the server gets a renewal.
func TestKeaOnTheLink4(t *testing.T) {
	for _, broadcast := range []bool{false, true} {
		t.Run(fmt.Sprint("broadcast ", broadcast), func(t *testing.T) {
			c, s := cable(t)
			_, err := s.IP("addr add 10.1.0.1/16 dev s0")
			need(t, err)
			dir, err := s.Folder("kea4")
			need(t, err)
			type m = map[string]any
			_, err = peer.RunKea(s, "kea4", 4, m{
				"interfaces-config": m{"interfaces": []string{"s0"}, "dhcp-socket-type": "raw"},
				"lease-database":    m{"type": "memfile", "persist": true, "name": filepath.Join(dir, "leases.csv"), "lfc-interval": 0},
				"valid-lifetime":    3600,
				"subnet4":           []m{{"id": 1, "subnet": "10.1.0.0/16", "interface": "s0", "pools": []m{{"pool": "10.1.2.0-10.1.3.255"}}}},
			})
			need(t, err)
			tap, err := capture.Start(s, "s0", "udp port 67 or udp port 68")
			need(t, err)
			words := "-4 --interface c0 --first 1000 --clients 60 --prepare 20 --mix " + everything4 + " --count 100 --duration 0 --window 8 --timeout 50s"
			if broadcast {
				words += " --broadcast"
			}
			got := run(t, c, words)
			if got.code != 0 {
				t.Fatalf("exit code %d: %s", got.code, got.err)
			}
			wantAllAnswered(t, got, 100)
			wantKinds(t, got, 10, everything4)
			need(t, tap.Stop())
			wantWellFormed(t, tap)
			wantSpoken4(t, tap, s, broadcast)

			granted := map[string]bool{}
			for _, row := range leases(t, s, "kea4", "leases.csv") {
				octets, err := net.ParseMAC(row[1])
				need(t, err)
				if n, ok := loadgen.IndexOf([6]byte(octets)); !ok || n < playedFirst || n >= playedFirst+played || row[2] != "01:"+row[1] {
					t.Fatalf("%q: is no client from 1000 to 1059", row)
				}
				granted[row[1]] = true
			}
			// 20 clients were prepared, and there are 20 newcomers.
			if len(granted) < 40 {
				t.Errorf("%d clients have had an address, want 40 at least", len(granted))
			}
		})
	}
}

// wantSpoken4 checks the clients' messages as tshark decodes them. On a busy machine some
// messages may be missing in the recording.
func wantSpoken4(t *testing.T, tap *capture.Capture, s *lab.Node, broadcast bool) {
	t.Helper()
	link, err := s.Interface("s0")
	need(t, err)
	rows, err := tap.Fields("udp.dstport == 67", "eth.src", "eth.dst", "ip.src", "ip.dst", "dhcp.hw.mac_addr",
		"dhcp.option.dhcp", "dhcp.ip.client", "dhcp.flags.bc", "udp.checksum.status", "ip.ttl", "dhcp.option.dhcp_server_id")
	need(t, err)
	seen := map[string]bool{}
	for _, row := range rows {
		holds := row[6] != "0.0.0.0"
		alone := row[1] == link.HardwareAddr.String()
		kind := map[string]string{"1": "discover", "3": "request", "8": "inform"}[row[5]]
		switch {
		case kind == "request" && holds && alone:
			kind = "renew"
		case kind == "request" && holds:
			kind = "rebind"
		}
		seen[kind] = true
		mac, _, _ := strings.Cut(row[4], ",")
		if row[0] != mac || row[2] != row[6] || // from ciaddr, which is 0.0.0.0 if there is none
			alone != (kind == "renew") || alone && row[3] != "10.1.0.1" || !alone && (row[1] != "ff:ff:ff:ff:ff:ff" || row[3] != "255.255.255.255") ||
			strings.Contains("1 True", row[7]) != (broadcast && !holds) || (row[10] != "") != (kind == "request") {
			t.Fatalf("tshark reads a %s as %q", kind, row)
		}
	}
	for _, kind := range []string{"discover", "request", "renew", "rebind", "inform"} {
		if !seen[kind] {
			t.Errorf("no %s among %d messages", kind, len(rows))
		}
	}
}

// subnet4 is the subnet of a relay's clients.
var subnet4 = netip.MustParsePrefix("10.1.1.0/24")

// The load generator plays a relay agent in front of the clients.
func TestRelayed4(t *testing.T) {
	for kind, circuit := range map[peer.Server4Kind]string{peer.Kea4UDP: "--interface-id port7", peer.Dhcpd4: "", peer.Dnsmasq4: "--interface-id port7"} {
		t.Run(string(kind), func(t *testing.T) {
			c, s := cable(t)
			for _, x := range []struct {
				d    *lab.Node
				line string
			}{{c, "addr add 10.9.0.1/24 dev c0"}, {c, "addr add 10.1.1.1/32 dev lo"}, {s, "addr add 10.9.0.2/24 dev s0"}, {s, "route add 10.1.0.0/16 via 10.9.0.1"}} {
				_, err := x.d.IP("%s", x.line)
				need(t, err)
			}
			_, err := peer.StartServer4(s, kind, peer.Server4Config{Interface: "s0", Address: netip.MustParseAddr("10.9.0.2"), Subnets: []netip.Prefix{subnet4}})
			need(t, err)
			tap, err := capture.Start(s, "s0", "udp port 67 or udp port 68")
			need(t, err)
			const mix = "discover=1,request=2,renew=2,rebind=1,four-way=2"
			got := run(t, c, "-4 --server 10.9.0.2 --link-address 10.1.1.1 --clients 60 --prepare 20 --mix "+mix+" --count 80 --duration 0 --window 8 --timeout 50s "+circuit)
			if got.code != 0 {
				t.Fatalf("exit code %d: %s", got.code, got.err)
			}
			wantAllAnswered(t, got, 80)
			wantKinds(t, got, 10, mix)
			need(t, tap.Stop())
			wantWellFormed(t, tap)
			rows, err := tap.Fields("dhcp.type == 1", "ip.src", "dhcp.ip.relay", "dhcp.hops", "udp.srcport", "udp.dstport", "dhcp.option.agent_information_option.agent_circuit_id")
			need(t, err)
			if len(rows) == 0 {
				t.Error("no message was recorded")
			}
			for _, row := range rows {
				id := strings.ReplaceAll(row[5], ":", "")
				if row[0] != "10.1.1.1" || row[1] != "10.1.1.1" || row[2] != "1" || row[3] != "67" || row[4] != "67" || circuit == "" && id != "" || circuit != "" && id != "706f727437" {
					t.Fatalf("tshark reads a relayed message as %q", row)
				}
			}
		})
	}
}

// Through a relay: a renewal is routed to the server, or comes to the relay itself if the relay
// takes the place of the server for clients (RFC 5107).
func TestThroughFairlead4(t *testing.T) {
	for _, override := range []bool{false, true} {
		t.Run(fmt.Sprint("override ", override), func(t *testing.T) {
			n := lab.ForTest(t)
			nodes := map[string]*lab.Node{}
			for _, name := range []string{"c", "r", "s"} {
				var err error
				nodes[name], err = n.Node(name)
				need(t, err)
			}
			c, r, s := nodes["c"], nodes["r"], nodes["s"]
			need(t, n.Veth(c, "c0", r, "d1"))
			need(t, n.Veth(r, "u0", s, "s0"))
			need(t, r.Sysctl("net/ipv4/ip_forward", "1"))
			for _, x := range []struct {
				d    *lab.Node
				line string
			}{{r, "addr add 10.1.1.1/24 dev d1"}, {r, "addr add 10.9.0.1/24 dev u0"}, {s, "addr add 10.9.0.2/24 dev s0"}, {s, "route add 10.1.0.0/16 via 10.9.0.1"}} {
				_, err := x.d.IP("%s", x.line)
				need(t, err)
			}
			kind, keys := peer.Kea4UDP, ""
			if override { // Kea 2.2 ignores the option
				kind, keys = peer.Dnsmasq4, "      server-id-override: true\n"
			}
			_, err := peer.StartServer4(s, kind, peer.Server4Config{Interface: "s0", Address: netip.MustParseAddr("10.9.0.2"), Subnets: []netip.Prefix{subnet4}})
			need(t, err)
			_, err = relay.Start(r, relay.Config{Binary: labtest.Program(), Text: "metrics: {listen: off}\n" +
				"peers:\n  - {name: server, address: 10.9.0.2, role: server, interfaces: [u0], protection: none}\n" +
				"relay4:\n  links:\n    - match: d1\n      agent-information: add\n" + keys})
			need(t, err)
			tap, err := capture.Start(r, "d1", "udp port 67")
			need(t, err)
			got := run(t, c, "-4 --interface c0 --clients 60 --prepare 20 --mix "+everything4+" --count 100 --duration 0 --window 8 --timeout 50s")
			if got.code != 0 {
				t.Fatalf("exit code %d: %s", got.code, got.err)
			}
			wantAllAnswered(t, got, 100)
			wantKinds(t, got, 10, everything4)
			server := "10.9.0.2"
			if override {
				server = "10.1.1.1"
			}
			need(t, tap.Stop())
			rows, err := tap.Fields("dhcp.type == 1 && ip.dst != 255.255.255.255", "ip.dst")
			need(t, err)
			if len(rows) == 0 {
				t.Error("no renewal was recorded")
			}
			for _, row := range rows {
				if row[0] != server {
					t.Fatalf("a renewal went to %s, want %s", row[0], server)
				}
			}
		})
	}
}

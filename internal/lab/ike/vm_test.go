//go:build vm

package ike_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/labtest"
)

// patience is long, because the machine is emulated.
const patience = 3 * time.Minute

// strongSwan and libreswan agree on a hop in transport mode: each sends a
// datagram, and it arrives in ESP.
func TestLibreswan(t *testing.T) {
	a, b := labtest.Pair(t, "a", "a0", "b", "b0")
	need(t, a.Address("a0", "2001:db8::1/64"))
	need(t, b.Address("b0", "2001:db8::2/64"))
	c, err := ike.Start(a, ike.Config{})
	need(t, err)
	need(t, c.Load(text))
	_, err = ike.StartLibreswan(b, `conn one
	left=2001:db8::2
	right=2001:db8::1
	leftprotoport=17/547
	rightprotoport=17/547
	type=transport
	authby=secret
	ikev2=insist
	auto=add
`, `2001:db8::1 2001:db8::2 : PSK "no more than a test"
`)
	need(t, err)
	out, err := c.Swanctl("--initiate", "--child", "dhcp", "--timeout", "150")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var in *net.UDPConn
	at := netip.MustParseAddrPort("[2001:db8::2]:547")
	need(t, b.Do(func() (err error) {
		in, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	}))
	defer in.Close()
	_, err = b.Feed("table inet only { chain in { type filter hook input priority 0; udp dport 547 meta ipsec missing drop; }; }\n", "nft", "-f", "-")
	need(t, err)
	need(t, a.Do(func() error {
		conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[2001:db8::1]:547")), net.UDPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("in ESP"))
		return err
	}))
	need(t, in.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 100)
	size, err := in.Read(buffer)
	need(t, err)
	if string(buffer[:size]) != "in ESP" {
		t.Errorf("received %q", buffer[:size])
	}
}

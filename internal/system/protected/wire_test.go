package protected

import "testing"

func TestWhatIsIKE(t *testing.T) {
	for line, want := range map[string]bool{
		"06:14:04.88 IP 10.1.0.1.500 > 192.0.2.2.500: isakmp: parent_sa ikev2_init[I]":                                                      true,
		"06:14:04.88 IP 192.0.2.2 > 10.1.0.1: ICMP 192.0.2.2 udp port 500 unreachable, length 432":                                          true,
		"06:14:04.88 IP6 2001:db8::2 > 2001:db8::1: ICMP6, destination unreachable, unreachable port, 2001:db8::2 udp port 500, length 432": true,
		"06:14:04.88 IP 192.0.2.2 > 10.1.0.1: ICMP 192.0.2.2 udp port 67 unreachable, length 336":                                           false,
		"06:14:04.88 IP6 2001:db8::2 > 2001:db8::1: ICMP6, destination unreachable, unreachable port, 2001:db8::2 udp port 547, length 200": false,
		"06:14:04.88 IP 192.0.2.2.67 > 10.1.0.1.67: BOOTP/DHCP, Reply, length 300":                                                          false,
		"06:14:04.88 IP6 2001:db8::2.547 > 2001:db8::1.547: dhcp6 relay-reply (linkaddr=2001:db8:500:: peeraddr=fe80::1)":                   false,
		"06:14:04.88 IP 10.1.0.1 > 192.0.2.2: ESP(spi=0xc1bd6821,seq=0x1), length 320":                                                      false,
	} {
		if got := isIKE(line); got != want {
			t.Errorf("%v for: %s", got, line)
		}
	}
}

package netlink

import "testing"

func TestForwards(t *testing.T) {
	open(t) // in a network namespace of its own
	run(t, "ip link add c0 type veth peer name p0")
	for _, c := range []struct {
		words string
		want  bool
	}{
		{"sysctl -qw net.ipv6.conf.all.forwarding=0", false},
		{"sysctl -qw net.ipv6.conf.c0.forwarding=1", true},
		{"sysctl -qw net.ipv6.conf.all.forwarding=1", true},
		{"sysctl -qw net.ipv6.conf.c0.forwarding=0", false},
		{"ip link del c0", true},
	} {
		run(t, c.words)
		if got := Forwards("c0"); got != c.want {
			t.Errorf("after %s: %v, want %v", c.words, got, c.want)
		}
	}
}

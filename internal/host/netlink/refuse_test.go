package netlink_test

import (
	"errors"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink"
)

// If a device cannot have the route, that is a refusal. If a request is not valid at all, it is
// not.
func TestRefusals(t *testing.T) {
	w := newReal(t)
	r := unicast(w, "2001:db8:100::/56", "fe80::1")
	run(t, "sysctl -qw net.ipv6.conf.c0.disable_ipv6=1")
	if err := tryApply(t, w, op{Route: r})[0]; !errors.Is(err, netlink.ErrRefused) {
		t.Errorf("device without IPv6: %v, want ErrRefused", err)
	}
	nowhere := *r
	nowhere.Link = 4711
	if err := tryApply(t, w, op{Route: &nowhere})[0]; !errors.Is(err, netlink.ErrRefused) {
		t.Errorf("no such device: %v, want ErrRefused", err)
	}
	for _, bad := range []hoststate.Route{{Table: 254}, {Table: 254, Prefix: r.Prefix, Link: hoststate.OtherKind}} {
		if err := tryApply(t, w, op{Route: &bad})[0]; err == nil || errors.Is(err, netlink.ErrRefused) {
			t.Errorf("%v: %v, want an error that is not ErrRefused", bad, err)
		}
	}
	expect(t, w)
}

package ipsec_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/ipsec"
	"fairlead/internal/lab"
)

// When the call that changes a policy returns, the notice can be read: nothing has to be waited
// for.
func TestNotices(t *testing.T) {
	d := loneNode(t)
	var n *ipsec.Notices
	need(t, d.Do(func() (err error) {
		n, err = ipsec.OpenNotices()
		return err
	}))
	var got []string
	take := func(e *hop.KernelEvent) {
		p := e.Policy
		got = append(got, fmt.Sprintf("%d %v %v>%v %d %d esp=%v block=%v", e.Kind, p.Out, p.Source, p.Dest, p.DestPort, p.Priority, p.ESP, p.Stops))
	}
	ip := func(d *lab.Node, words string) {
		t.Helper()
		_, err := d.IP("%s", words)
		need(t, err)
	}
	pair := "src 2001:db8::1/128 dst 2001:db8::2/128 proto udp dport 547 dir out"
	for _, c := range []struct {
		words string
		want  []string
	}{
		{"xfrm policy add " + pair + " priority 7 tmpl proto esp mode transport", []string{"3 true 2001:db8::1/128>2001:db8::2/128 547 7 esp=true block=false"}},
		{"xfrm policy update " + pair + " priority 8 action block", []string{"3 true 2001:db8::1/128>2001:db8::2/128 547 8 esp=false block=true"}},
		{"xfrm policy update " + pair + " priority 9", []string{"3 true 2001:db8::1/128>2001:db8::2/128 547 9 esp=false block=false"}},
		{"xfrm policy delete " + pair, []string{"4 true 2001:db8::1/128>2001:db8::2/128 547 9 esp=false block=false"}},
		{"xfrm policy add " + strings.Replace(pair, "dir out", "dir in", 1) + " tmpl proto esp mode transport", []string{"3 false 2001:db8::1/128>2001:db8::2/128 547 0 esp=true block=false"}},
		{"xfrm policy flush", []string{"6 false invalid Prefix>invalid Prefix 0 0 esp=false block=false"}},
	} {
		got = nil
		ip(d, c.words)
		n.Read(take)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.words, got, c.want)
		}
	}
	got = nil
	n.Read(take)
	if len(got) != 0 {
		t.Errorf("nothing has changed: %q", got)
	}
	if a := testing.AllocsPerRun(10, func() { n.Read(take) }); a != 0 {
		t.Errorf("%v allocations where nothing is told", a)
	}
	need(t, n.Close())
	if err := n.Wait(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

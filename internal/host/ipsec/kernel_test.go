package ipsec_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/ipsec"
	"fairlead/internal/lab"
)

// The kernel may have no ESP. It has policies all the same; states are tested in the virtual
// machine.

func openKernel(t *testing.T, d *lab.Node, owner hop.Owner) *ipsec.Kernel {
	t.Helper()
	var k *ipsec.Kernel
	need(t, d.Do(func() (err error) {
		k, err = ipsec.OpenKernel(owner)
		return err
	}))
	t.Cleanup(func() { need(t, k.Close()) })
	return k
}

// secret is a key of n times the same octet.
func secret(octet byte, n int) hop.Secret { return slices.Repeat(hop.Secret{octet}, n) }

func manualSA(spi uint32, suite hop.Suite) hop.ManualSA {
	e, i := suite.KeyLengths()
	return hop.ManualSA{SPI: spi, Suite: suite, Encryption: secret(byte(spi), e), Integrity: secret(byte(spi), i)}
}

// manual is a hop that sends with one SPI and receives with others.
func manual(name, local, remote string, out uint32, in ...uint32) hop.Hop {
	h := hop.Hop{
		Name: name, Peer: name, Role: trust.Server,
		Local: netip.MustParseAddr(local), Remote: netip.MustParseAddr(remote),
		Manual: &hop.Manual{Out: manualSA(out, hop.AES128SHA256)},
	}
	for _, spi := range in {
		h.Manual.In = append(h.Manual.In, manualSA(spi, hop.AES128SHA256))
	}
	return h
}

// install installs hops in a kernel that may have no ESP.
func install(t *testing.T, k *ipsec.Kernel, hops ...hop.Hop) {
	t.Helper()
	if err := k.Install(hops); err != nil && !strings.Contains(err.Error(), "the kernel has no") {
		t.Fatal(err)
	}
}

// policies are those of a node as ip prints them, with their templates, sorted.
func policies(t *testing.T, d *lab.Node) []string {
	t.Helper()
	out, err := d.IP("xfrm policy")
	need(t, err)
	var all []string
	for line := range strings.Lines(out) {
		// Only some kernels say in which of the two tables a policy is.
		text := strings.ReplaceAll(strings.Join(strings.Fields(line), " "), " ptype main", "")
		switch {
		case strings.HasPrefix(text, "socket"):
		case strings.HasPrefix(line, "src"):
			all = append(all, text)
		case len(all) > 0:
			all[len(all)-1] += " " + text
		}
	}
	all = slices.DeleteFunc(all, func(p string) bool { return strings.Contains(p, "socket ") })
	slices.Sort(all)
	return all
}

func wantPolicies(t *testing.T, d *lab.Node, want ...string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := policies(t, d); !slices.Equal(got, want) {
		t.Errorf("policies are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	tail6 = " priority 100000 tmpl src :: dst :: proto esp reqid 4196204545 mode transport"
	tail4 = " priority 100000 tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid 4196204545 mode transport"
)

// There is one policy in each direction for each selector, of both families. In the end none is
// left.
func TestPolicies(t *testing.T) {
	d := loneNode(t)
	k := openKernel(t, d, hop.OwnerRelay)
	v6 := manual("six", "2001:db8::1", "2001:db8::2", 0x1001, 0x2001)
	v6.RelayPort = 5470
	v4 := manual("four", "192.0.2.1", "192.0.2.2", 0xff001001, 0xff002001)
	v4.Role = trust.Relay
	install(t, k, v6, v4)
	six := []string{
		"src 2001:db8::1/128 dst 2001:db8::2/128 proto udp sport 547 dport 547 dir out" + tail6,
		"src 2001:db8::2/128 dst 2001:db8::1/128 proto udp sport 547 dport 547 dir in" + tail6,
		"src 2001:db8::1/128 dst 2001:db8::2/128 proto udp sport 5470 dport 547 dir out" + tail6,
		"src 2001:db8::2/128 dst 2001:db8::1/128 proto udp sport 547 dport 5470 dir in" + tail6,
		"src 2001:db8::1/128 dst 2001:db8::2/128 proto tcp dport 547 dir out" + tail6,
		"src 2001:db8::2/128 dst 2001:db8::1/128 proto tcp sport 547 dir in" + tail6,
	}
	four := []string{
		"src 192.0.2.1/32 dst 192.0.2.2/32 proto udp sport 67 dport 67 dir out" + tail4,
		"src 192.0.2.2/32 dst 192.0.2.1/32 proto udp sport 67 dport 67 dir in" + tail4,
		"src 192.0.2.1/32 dst 192.0.2.2/32 proto tcp sport 67 dir out" + tail4,
		"src 192.0.2.2/32 dst 192.0.2.1/32 proto tcp dport 67 dir in" + tail4,
	}
	wantPolicies(t, d, append(slices.Clone(six), four...)...)
	install(t, k, v6, v4)
	wantPolicies(t, d, append(slices.Clone(six), four...)...)
	install(t, k, v4)
	wantPolicies(t, d, four...)
	need(t, k.Remove())
	wantPolicies(t, d)
}

func loneNode(t *testing.T) *lab.Node {
	t.Helper()
	d, err := lab.ForTest(t).Node("a")
	need(t, err)
	return d
}

// A link-local address may be another host's on another link. So a policy for output holds for
// one interface; it is installed again when the interface is made again, and it cannot be
// installed without the interface. A policy for input holds on all interfaces, because the kernel
// would not find it otherwise.
func TestLinkPolicies(t *testing.T) {
	d := loneNode(t)
	k := openKernel(t, d, hop.OwnerRelay)
	_, err := d.IP("link add lan0 type veth peer name lan1")
	need(t, err)
	h := manual("ldra", "fe80::1", "fe80::2", 0x1001, 0x2001)
	h.Link = "lan0"
	for range 2 {
		install(t, k, h)
		got := policies(t, d)
		if len(got) != 4 {
			t.Fatalf("policies are %q", got)
		}
		for _, p := range got {
			if strings.Contains(p, " dev lan0 ") != strings.Contains(p, " dir out ") {
				t.Errorf("policy for the wrong interface: %s", p)
			}
		}
		_, err = d.IP("link del lan0")
		need(t, err)
		if err := k.Install([]hop.Hop{h}); err == nil || !strings.Contains(err.Error(), "hop ldra: policy") || !strings.Contains(err.Error(), "interface lan0") {
			t.Fatalf("without the interface: %v", err)
		}
		if got := policies(t, d); len(got) != 2 || strings.Contains(strings.Join(got, "\n"), "dir out") {
			t.Errorf("policies without the interface: %q", got)
		}
		_, err = d.IP("link add lan0 type veth peer name lan1")
		need(t, err)
	}
}

// A policy of another program stays, whether it is in the way or not. Where it is, the error
// names it.
func TestForeignPolicies(t *testing.T) {
	d := loneNode(t)
	k := openKernel(t, d, hop.OwnerRelay)
	_, err := d.IP("xfrm policy add src 2001:db8::1/128 dst 2001:db8::2/128 proto udp sport 547 dport 547 dir out priority 77 tmpl proto esp reqid 9 mode transport")
	need(t, err)
	_, err = d.IP("xfrm policy add src 2001:db8::/32 dst 2001:db8:9::/48 dir in priority 78 action block")
	need(t, err)
	theirs := policies(t, d)
	err = k.Install([]hop.Hop{manual("six", "2001:db8::1", "2001:db8::2", 0x1001, 0x2001)})
	if err == nil || !strings.Contains(err.Error(), "hop six: policy out protocol 17 from 2001:db8::1/128 port 547 to 2001:db8::2/128 port 547: another with reqid 0x9 and priority 77 is there, which is not ours") {
		t.Errorf("error: %v", err)
	}
	if got := policies(t, d); len(got) != len(theirs)+3 {
		t.Errorf("the others are not installed: %q", got)
	}
	seen, err := k.Observe()
	need(t, err)
	want := []hop.XfrmPolicy{
		{Source: netip.MustParsePrefix("2001:db8::/32"), Dest: netip.MustParsePrefix("2001:db8:9::/48"), Priority: 78, Stops: true},
		{Out: true, Source: netip.MustParsePrefix("2001:db8::1/128"), Dest: netip.MustParsePrefix("2001:db8::2/128"), Protocol: hop.UDP, SourcePort: 547, DestPort: 547, Priority: 77, Reqid: 9, ESP: true},
		{Source: netip.MustParsePrefix("2001:db8::2/128"), Dest: netip.MustParsePrefix("2001:db8::1/128"), Protocol: hop.UDP, SourcePort: 547, DestPort: 547, Priority: hop.ManualPriority, Reqid: hop.OwnerRelay.Reqid(), ESP: true},
	}
	for _, p := range want {
		if !slices.Contains(seen.Policies, p) {
			t.Errorf("not observed: %+v\namong %+v", p, seen.Policies)
		}
	}
	need(t, k.Remove())
	wantPolicies(t, d, theirs...)
}

// A policy of ours that somebody has changed is corrected, without being removed first.
func TestMendPolicy(t *testing.T) {
	d := loneNode(t)
	k := openKernel(t, d, hop.OwnerRelay)
	h := manual("six", "2001:db8::1", "2001:db8::2", 0x1001, 0x2001)
	install(t, k, h)
	right := policies(t, d)
	for _, by := range []string{
		"priority 100000 tmpl proto esp reqid %d mode transport level use",
		"priority 100000 tmpl src 2001:db8::1 dst 2001:db8::2 proto esp reqid %d mode tunnel",
		"priority 200000 tmpl proto esp reqid %d mode transport",
	} {
		_, err := d.IP("xfrm policy update src 2001:db8::1/128 dst 2001:db8::2/128 proto udp sport 547 dport 547 dir out "+by, hop.OwnerRelay.Reqid())
		need(t, err)
		if slices.Equal(policies(t, d), right) {
			t.Fatalf("%s changes nothing", by)
		}
		install(t, k, h)
		wantPolicies(t, d, right...)
	}
}

// A relay and a guard on one host each have their own policies.
func TestTwoKernelOwners(t *testing.T) {
	d := loneNode(t)
	relay, guard := openKernel(t, d, hop.OwnerRelay), openKernel(t, d, hop.OwnerGuard)
	install(t, relay, manual("six", "2001:db8::1", "2001:db8::2", 0x1001, 0x2001))
	before := policies(t, d)
	install(t, guard, manual("four", "192.0.2.1", "192.0.2.2", 0x1001, 0x2001))
	need(t, guard.Remove())
	wantPolicies(t, d, before...)
	err := guard.Install([]hop.Hop{manual("six", "2001:db8::1", "2001:db8::2", 0x1001, 0x2001)})
	if err == nil || !strings.Contains(err.Error(), "reqid 0xfa1d0001 ") {
		t.Errorf("error: %v", err)
	}
	wantPolicies(t, d, before...)
}

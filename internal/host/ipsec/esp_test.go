//go:build vm

package ipsec_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/ipsec"
	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

// These tests need a kernel with ESP: they run in the virtual machine.

// ends are two hosts with an ESP hop between them, and a socket on each.
type ends struct {
	t            *testing.T
	a, b         *lab.Node
	ka, kb       *ipsec.Kernel
	from, to     *net.UDPConn
	dest         *net.UDPAddr // the address of to, as from sees it
	addrA, addrB string
}

func newEnds(t *testing.T, family int) *ends {
	t.Helper()
	e := &ends{t: t, addrA: "2001:db8::1", addrB: "2001:db8::2"}
	length, port := 64, dhcp6.ServerPort
	if family == 4 {
		e.addrA, e.addrB, length, port = "192.0.2.1", "192.0.2.2", 24, dhcp4.ServerPort
	}
	e.a, e.b = labtest.Pair(t, "a", "a0", "b", "b0")
	for d, address := range map[*lab.Node]string{e.a: e.addrA, e.b: e.addrB} {
		options := ""
		if family == 6 {
			options = " nodad"
		}
		_, err := d.IP("addr add %s/%d dev %s0%s", address, length, d.Name, options)
		need(t, err)
	}
	e.ka, e.kb = openKernel(t, e.a, hop.OwnerRelay), openKernel(t, e.b, hop.OwnerGuard)
	e.listen(port, "", "")
	return e
}

// listen opens the sockets; link-local addresses need zones.
func (e *ends) listen(port int, zoneA, zoneB string) {
	e.from, e.to = udp(e.t, e.a, e.addrA+zoneA, port), udp(e.t, e.b, e.addrB+zoneB, port)
	e.dest = net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(e.addrB+zoneA), uint16(port)))
	// A link that has just come up may still lose packets.
	need(e.t, lab.Until(labtest.Patience, "the link between the ends is up", func() bool { return e.pass("is it up") }))
}

func udp(t *testing.T, d *lab.Node, address string, port int) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	need(t, d.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), uint16(port))))
		return err
	}))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// hopA and hopB are the hop as each of its two ends configures it.
func (e *ends) hopA(out uint32, in ...uint32) hop.Hop {
	return manual("b", e.addrA, e.addrB, out, in...)
}

func (e *ends) hopB(out uint32, in ...uint32) hop.Hop {
	h := manual("a", e.addrB, e.addrA, out, in...)
	h.Role = trust.Relay
	return h
}

// pass sends a datagram, and reports whether it arrives within a second.
func (e *ends) pass(text string) bool {
	e.t.Helper()
	return e.send(text) == nil && e.arrives(text, 1)
}

// send fails where there is no SA for the datagram.
func (e *ends) send(text string) error {
	_, err := e.from.WriteToUDP([]byte(text), e.dest)
	return err
}

// arrives waits for a datagram, one second at a time and this many times. The emulated machine
// may get no processor for minutes while its clock goes on: that uses up one of the seconds only.
func (e *ends) arrives(text string, seconds int) bool {
	e.t.Helper()
	buffer := make([]byte, 100)
	for seconds > 0 {
		need(e.t, e.to.SetReadDeadline(time.Now().Add(time.Second)))
		n, _, err := e.to.ReadFromUDP(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			seconds--
		case err != nil:
			e.t.Fatal(err)
		case string(buffer[:n]) == text:
			return true
		}
	}
	return false
}

func (e *ends) wantPasses(text string) {
	e.t.Helper()
	if err := e.send(text); err != nil {
		e.t.Fatalf("%s: the datagram is not sent: %v", text, err)
	}
	if !e.arrives(text, int(labtest.Patience/time.Second)) {
		e.t.Fatalf("%s: the datagram is lost", text)
	}
}

// state is one observed SA. The test fails if the SA is not there.
func state(t *testing.T, k *ipsec.Kernel, spi uint32) hop.XfrmState {
	t.Helper()
	seen, err := k.Observe()
	need(t, err)
	for _, s := range seen.States {
		if s.SPI == spi {
			return s
		}
	}
	t.Fatalf("no state with SPI %#x among %+v", spi, seen.States)
	return hop.XfrmState{}
}

func TestESPManual(t *testing.T) {
	for _, c := range []struct {
		family int
		suite  hop.Suite
	}{{4, hop.AES128SHA256}, {6, hop.AES256SHA256}, {6, hop.AES256SHA512}} {
		t.Run(fmt.Sprintf("IPv%d %v", c.family, c.suite), func(t *testing.T) {
			e := newEnds(t, c.family)
			// An SPI whose highest bit is set is negative in some of the library's types.
			a, b := e.hopA(0xff000001, 0x102), e.hopB(0x102, 0xff000001)
			for _, h := range []*hop.Hop{&a, &b} {
				h.Manual.Out = manualSA(h.Manual.Out.SPI, c.suite)
				h.Manual.In[0] = manualSA(h.Manual.In[0].SPI, c.suite)
			}
			began := time.Now()
			need(t, e.kb.Install([]hop.Hop{b}))
			need(t, e.ka.Install([]hop.Hop{a}))
			e.wantPasses("once")
			out, in := state(t, e.ka, 0xff000001), state(t, e.kb, 0xff000001)
			oldest := time.Since(began) + 2*time.Second // the kernel notes whole seconds of the wall clock
			for _, s := range []hop.XfrmState{out, in} {
				if s.Source.String() != e.addrA || s.Dest.String() != e.addrB || s.Traffic.Packets != 1 || s.Traffic.Bytes == 0 || s.Age > oldest {
					t.Errorf("state %+v", s)
				}
			}
			if out.Reqid != hop.OwnerRelay.Reqid() || in.Reqid != hop.OwnerGuard.Reqid() {
				t.Errorf("request ids %#x, %#x", out.Reqid, in.Reqid)
			}
			// Install changes nothing where everything is there already.
			need(t, e.ka.Install([]hop.Hop{a}))
			if again := state(t, e.ka, 0xff000001); again.Traffic.Packets != 1 {
				t.Errorf("the state was made anew: %+v", again)
			}
			need(t, e.ka.Remove())
			seen, err := e.ka.Observe()
			need(t, err)
			if len(seen.States)+len(seen.Policies) != 0 {
				t.Errorf("left behind: %+v", seen)
			}
			if e.pass("in clear") {
				t.Error("the other end takes what is not in ESP")
			}
		})
	}
}

// A hop between link-local addresses is protected on one link only.
func TestESPLinkLocal(t *testing.T) {
	e := newEnds(t, 6)
	for d, address := range map[*lab.Node]*string{e.a: &e.addrA, e.b: &e.addrB} {
		found, err := d.LinkLocal(d.Name + "0")
		need(t, err)
		*address = found.String()
	}
	e.listen(dhcp6.ServerPort, "%a0", "%b0")
	a, b := e.hopA(0x101, 0x102), e.hopB(0x102, 0x101)
	a.Link, b.Link = "a0", "b0"
	need(t, e.kb.Install([]hop.Hop{b}))
	if e.pass("in clear") {
		t.Error("what is not in ESP is taken")
	}
	need(t, e.ka.Install([]hop.Hop{a}))
	e.wantPasses("by the link")
	if got := state(t, e.kb, 0x101); got.Traffic.Packets != 1 {
		t.Errorf("not by ESP: %+v", got)
	}
}

// With different keys nothing passes, and that is counted.
func TestESPWrongKey(t *testing.T) {
	e := newEnds(t, 6)
	a, b := e.hopA(0x101, 0x102), e.hopB(0x102, 0x101)
	b.Manual.In[0].Integrity = secret(0xee, 32)
	need(t, e.ka.Install([]hop.Hop{a}))
	need(t, e.kb.Install([]hop.Hop{b}))
	if e.pass("forged") {
		t.Error("a datagram under another key passes")
	}
	if got := state(t, e.kb, 0x101); got.AuthErrors == 0 {
		t.Errorf("not counted: %+v", got)
	}
	// The key changes, and the SPI stays.
	need(t, e.kb.Install([]hop.Hop{e.hopB(0x102, 0x101)}))
	e.wantPasses("under the right key")
}

// RFC 8213 3e and 3q. A peer's key is good only for the peer's own address: what it sends with
// the key from another peer's address is discarded.
func TestESPKeyOfAnotherPeer(t *testing.T) {
	e := newEnds(t, 6)
	other := manual("other", e.addrB, "2001:db8::3", 0x202, 0x201)
	other.Role = trust.Relay
	need(t, e.kb.Install([]hop.Hop{e.hopB(0x102, 0x101), other}))
	need(t, e.ka.Install([]hop.Hop{e.hopA(0x201, 0x900)}))
	if e.pass("under another's name") {
		t.Error("a peer's key opens another peer's hop")
	}
	counted, err := e.b.Run("grep", "XfrmInStateMismatch", "/proc/net/xfrm_stat")
	need(t, err)
	if fields := strings.Fields(counted); len(fields) != 2 || fields[1] != "1" {
		t.Errorf("counted %q", counted)
	}
	need(t, e.ka.Install([]hop.Hop{e.hopA(0x101, 0x900)}))
	e.wantPasses("with the right one")
}

// No packet of a stream is lost while keys roll over from one SPI to another.
func TestESPRollover(t *testing.T) {
	e := newEnds(t, 6)
	need(t, e.kb.Install([]hop.Hop{e.hopB(0x900, 0x101)}))
	need(t, e.ka.Install([]hop.Hop{e.hopA(0x101, 0x900)}))
	e.wantPasses("at first")

	sent, stop := make(chan uint32, 1), make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		n := uint32(0)
		defer func() { sent <- n }()
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.Context().Done():
				return
			case <-pace.C:
			}
			if _, err := e.from.WriteToUDP(binary.BigEndian.AppendUint32(nil, n), e.dest); err != nil {
				t.Errorf("datagram %d: %v", n, err)
				return
			}
			n++
		}
	})
	t.Cleanup(sender.Wait)
	next := uint32(0)
	receive := func(n int) {
		t.Helper()
		buffer := make([]byte, 100)
		need(t, e.to.SetReadDeadline(time.Now().Add(labtest.Patience)))
		for range n {
			_, _, err := e.to.ReadFromUDP(buffer)
			need(t, err)
			if got := binary.BigEndian.Uint32(buffer); got != next {
				t.Fatalf("datagram %d came, want %d", got, next)
			}
			next++
		}
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(labtest.Patience); !done(); receive(20) {
			if time.Now().After(end) {
				t.Fatalf("never: %s", what)
			}
		}
	}
	for old := uint32(0x101); old < 0x103; old++ {
		used := func(spi uint32) func() bool {
			before := state(t, e.ka, spi).Traffic.Packets
			return func() bool { return state(t, e.ka, spi).Traffic.Packets > before }
		}
		until("the old SA is used", used(old))
		need(t, e.kb.Install([]hop.Hop{e.hopB(0x900, old, old+1)}))
		need(t, e.ka.Install([]hop.Hop{e.hopA(old+1, 0x900)}))
		until("the new SA is used", used(old+1))
		need(t, e.ka.Install([]hop.Hop{e.hopA(old+1, 0x900)})) // once more, which does not make the old state end earlier
		until("the old SA has run out", func() bool {
			seen, err := e.ka.Observe()
			need(t, err)
			return !slices.ContainsFunc(seen.States, func(s hop.XfrmState) bool { return s.SPI == old })
		})
		need(t, e.kb.Install([]hop.Hop{e.hopB(0x900, old+1)}))
	}
	// Back and forth: the first state is wanted again before it has run out.
	need(t, e.kb.Install([]hop.Hop{e.hopB(0x900, 0x103, 0x104)}))
	need(t, e.ka.Install([]hop.Hop{e.hopA(0x104, 0x900)}))
	need(t, e.ka.Install([]hop.Hop{e.hopA(0x103, 0x900)}))
	until("the other one has run out", func() bool {
		seen, err := e.ka.Observe()
		need(t, err)
		return !slices.ContainsFunc(seen.States, func(s hop.XfrmState) bool { return s.SPI == 0x104 })
	})
	receive(20)
	state(t, e.ka, 0x103)
	close(stop)
	receive(int(<-sent - next))
}

// A state of another program is not changed. Where it is in the way, the error names it.
func TestESPForeignState(t *testing.T) {
	e := newEnds(t, 6)
	_, err := e.a.Run("ip", "xfrm", "state", "add", "src", e.addrA, "dst", e.addrB, "proto", "esp", "spi", "0x101", "reqid", "9",
		"mode", "transport", "aead", "rfc4106(gcm(aes))", "0x"+strings.Repeat("11", 20), "128")
	need(t, err)
	err = e.ka.Install([]hop.Hop{e.hopA(0x101, 0x102)})
	if err == nil || !strings.Contains(err.Error(), "hop b: state to "+e.addrB+" with SPI 0x00000101: another with reqid 0x9 is there") {
		t.Errorf("error: %v", err)
	}
	need(t, e.ka.Remove())
	if got := state(t, e.ka, 0x101); got.Reqid != 9 {
		t.Errorf("it is now %+v", got)
	}
}

// child waits until an ESP SA of a hop is installed.
func (r *rig) child(s *ipsec.Strongswan, name string, not uint32) (found hop.ChildSA) {
	r.t.Helper()
	labtest.Until(r.t, "an ESP SA of "+name, func() bool {
		for _, sa := range r.observe(s).IKE {
			for _, c := range sa.Children {
				if sa.Hop == name && c.Selector == "dhcp" && c.Installed && c.ID != not {
					found = c
				}
			}
		}
		return found.ID != 0
	})
	return found
}

// An SA of strongSwan is in the kernel as strongSwan reports it. It stays when its connection is
// loaded again. Its rekeying is reported. If its policies are taken away, it is made again with
// them.
func TestESPStrongswan(t *testing.T) {
	r := newRig(t)
	k := openKernel(t, r.a.Node, hop.OwnerRelay)
	other := r.open(r.b, hop.OwnerGuard)
	need(t, other.Load(t.Context(), []hop.Hop{turned(six)}))
	need(t, r.s.Load(t.Context(), []hop.Hop{six}))
	events := r.s.Events(t.Context())
	need(t, r.s.Initiate(t.Context(), &six, "dhcp"))
	first := r.child(r.s, "srv.six", 0)
	if first.Algorithms != "AES_GCM_16-256" {
		t.Errorf("algorithms %q", first.Algorithms)
	}
	out, in := state(t, k, first.SPIOut), state(t, k, first.SPIIn)
	if out.Dest != six.Remote || in.Dest != six.Local {
		t.Errorf("states %+v, %+v", out, in)
	}
	need(t, r.s.Load(t.Context(), []hop.Hop{six}))
	if again := r.child(r.s, "srv.six", 0); again.ID != first.ID {
		t.Errorf("child %d became %d", first.ID, again.ID)
	}
	rekey := func() { r.swanctl(r.a, "--rekey", "--child", "dhcp") }
	heard(t, events, "rekeyed", rekey, func(e hop.Event) bool {
		return e.Kind == hop.EventChildRekeyed && e.Hop == "srv.six" && e.Child == "dhcp"
	})
	second := r.child(r.s, "srv.six", first.ID)

	_, err := r.a.Node.IP("xfrm policy flush")
	need(t, err)
	need(t, r.s.Reinstall(t.Context(), &six))
	seen, err := k.Observe()
	need(t, err)
	want := hop.XfrmPolicy{
		Out: true, Source: netip.PrefixFrom(six.Local, 128), Dest: netip.PrefixFrom(six.Remote, 128),
		Protocol: hop.UDP, SourcePort: 547, DestPort: 547, ESP: true,
	}
	if !slices.ContainsFunc(seen.Policies, func(p hop.XfrmPolicy) bool { p.Reqid, p.Priority = 0, 0; return p == want }) {
		t.Errorf("no such policy again: %+v among %+v", want, seen.Policies)
	}
	for _, s := range seen.States {
		if s.SPI == second.SPIOut {
			t.Errorf("the SA from before is still there: %+v", s)
		}
	}
	need(t, r.s.Initiate(t.Context(), &six, "dhcp"))
	r.child(r.s, "srv.six", second.ID)
}

// The right certificate makes an SA; for any other, the reason is reported.
func TestESPCertificates(t *testing.T) {
	r := newRig(t)
	ours, theirs := authority(t, "ours"), authority(t, "theirs")
	mine := issue(t, ours, ike.Request{Name: "a", Addresses: []netip.Addr{six.Local}})
	yours := issue(t, theirs, ike.Request{Name: "b", Addresses: []netip.Addr{six.Remote}})
	other := r.open(r.b, hop.OwnerGuard)
	need(t, other.Load(t.Context(), []hop.Hop{turned(certified(yours, ours))}))
	h := certified(mine, theirs)
	need(t, r.s.Load(t.Context(), []hop.Hop{h}))
	need(t, r.s.Initiate(t.Context(), &h, "dhcp"))
	r.child(r.s, "srv.six", 0)
}

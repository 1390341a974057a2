//go:build vm

package nft_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// withESP gives the two hosts manual keys for everything between the addresses of a hop. Only one
// image of the virtual machine has a kernel with ESP.
func withESP(t *testing.T, p *pair) {
	if os.Getenv("FAIRLEAD_VM_IMAGE") != "ipsec" {
		t.Skip("probe: FAIRLEAD_VM_IMAGE is not ipsec: the plain image has no ESP")
	}
	keys := "enc cbc(aes) 0x" + strings.Repeat("11", 32) + " auth-trunc hmac(sha256) 0x" + strings.Repeat("22", 32) + " 128"
	for i, w := range ways {
		for n, ends := range [][2]string{{w.host, w.peer}, {w.peer, w.host}} {
			for _, at := range []*node{p.host, p.other} {
				between := fmt.Sprintf("src %s dst %s ", ends[0], ends[1])
				at.run(fmt.Sprintf("ip xfrm state add %s proto esp spi %d reqid 7 mode transport %s", between, 0x1000+2*i+n, keys))
				way := "in"
				if (n == 0) == (at == p.host) {
					way = "out"
				}
				for _, protocol := range []string{"udp", "tcp"} {
					at.run("ip xfrm policy add " + between + " proto " + protocol + " dir " + way + " tmpl " + between + " proto esp reqid 7 mode transport")
				}
			}
		}
	}
}

// What is in ESP passes in both directions, and the guard counts nothing. Without the keys
// nothing passes.
func TestGuardESP(t *testing.T) { guardESP(t, newPair(t, "")) }

// The same in a VRF, except for link-local addresses: Linux 6.1 loses what it decrypts for one
// there, with or without the guard.
func TestGuardESPApart(t *testing.T) { guardESP(t, newPair(t, "red")) }

func guardESP(t *testing.T, p *pair) {
	withESP(t, p)
	p.install(false, threeHops()...)
	served := ways
	if p.host.vrf != "" {
		served = ways[:2]
	}
	for _, w := range served {
		t.Run(w.name, func(t *testing.T) {
			host, peer := p.host.udp(t, w.host, w.port), p.other.udp(t, w.peer, w.port)
			relayed := []byte{relayForward, 0}
			if w.name == "four" {
				relayed = bootp(bootRequest, peer4)
			}
			for _, payload := range [][]byte{relayed, append(relayed, make([]byte, 4000)...)} {
				send(t, peer, address(host), payload)
				received(t, host)
				if send(t, host, address(peer), payload) {
					t.Error("refused to the sender, though there is ESP")
				}
				received(t, peer)
			}
			listener := p.host.tcp(t, w.host, w.port)
			if err := p.other.dials(w.peer, listener, patience); err != nil {
				t.Errorf("leasequery: %v", err)
			}
			// A relayed message whose sender is not configured is a stranger's, even in ESP.
			before := p.observe()
			reply := []byte{relayReply, 0}
			if w.name == "four" {
				reply = bootp(bootReply, "0.0.0.0")
			}
			send(t, peer, address(host), reply)
			until(t, "counted", func() bool { return p.observe().Strangers.Packets == before.Strangers.Packets+1 })
		})
	}
	if in, out, strangers := totals(p.observe()); in+out != 0 || strangers != len(served) {
		t.Errorf("counted %d in, %d out, %d strangers", in, out, strangers)
	}
	for _, n := range []*node{p.host, p.other} {
		n.run("ip xfrm policy flush")
		n.run("ip xfrm state flush")
	}
	p.install(true, threeHops()...)
	clearDatagrams(t, p)
}

// A rule that changes the source after the output hook (masquerade) takes a packet out of its
// policy. Without the guard it leaves in clear; with the guard it does not leave.
func TestGuardESPAndMasquerade(t *testing.T) {
	p := newPair(t, "")
	withESP(t, p)
	p.host.run("ip addr add 2001:db8::77/64 dev e0 nodad")
	p.host.nft("table ip6 nat {\n chain post { type nat hook postrouting priority 100; oifname e0 udp dport 547 snat to 2001:db8::77; }\n}\n")
	host, peer := p.host.udp(t, host6, 547), p.other.udp(t, peer6, 547)
	// The peer accepts messages in clear, as any program would.
	send(t, host, address(peer), plain)
	received(t, peer)
	p.install(true, threeHops()...)
	fresh := p.host.udp(t, host6, 546) // to nat it must be another connection
	if !send(t, fresh, address(peer), plain) {
		t.Error("not refused")
	}
	if o := p.observe().Hops["six"]; o.Out.Packets != 1 {
		t.Errorf("counted %+v, want one out", o)
	}
	if n := waiting(t, peer); n != 0 {
		t.Errorf("%d datagrams left in clear", n)
	}
}

// In a VRF, the hooks see other names of interfaces.
func TestGuardInVRF(t *testing.T) {
	p := newPair(t, "red")
	p.install(true, threeHops()...)
	clearDatagrams(t, p)
	p.host.run("nft flush chain inet " + hop.OwnerGuard.Table() + " output")
	for _, w := range ways {
		before := p.observe().Hops[w.name].Out.Packets
		send(t, p.host.udp(t, w.host, w.port), endpoint(w.peer, w.port), plain)
		until(t, w.name+": counted without the output chain", func() bool { return p.observe().Hops[w.name].Out.Packets == before+1 })
	}
}

// The guard cannot know by which peer's SA a packet came: the selector of the state binds it to
// the peer's address. Without the selector, a peer can send from another peer's address with its
// own key.
func TestGuardESPReliesOnSelectors(t *testing.T) {
	if os.Getenv("FAIRLEAD_VM_IMAGE") != "ipsec" {
		t.Skip("probe: FAIRLEAD_VM_IMAGE is not ipsec: the plain image has no ESP")
	}
	for _, selector := range []string{"", " sel src " + else6 + " dst " + host6} {
		p := newPair(t, "")
		state := " proto esp spi 0x2000 reqid 7 mode transport enc cbc(aes) 0x" + strings.Repeat("11", 32) + " auth-trunc hmac(sha256) 0x" + strings.Repeat("22", 32) + " 128"
		p.host.run("ip xfrm state add src " + else6 + " dst " + host6 + state + selector)
		p.other.run("ip xfrm state add src " + peer6 + " dst " + host6 + state)
		tmpl := " tmpl src " + peer6 + " dst " + host6 + " proto esp reqid 7 mode transport"
		p.host.run("ip xfrm policy add src " + peer6 + " dst " + host6 + " proto udp dir in" + tmpl)
		p.other.run("ip xfrm policy add src " + peer6 + " dst " + host6 + " proto udp dir out" + tmpl)
		p.install(true, hopTo("six", trust.Relay, host6, peer6), hopTo("else", trust.Relay, host6, else6))
		host := p.host.udp(t, host6, 547)
		send(t, p.other.udp(t, peer6, 547), address(host), plain)
		if selector == "" {
			received(t, host)
			continue
		}
		until(t, "mismatch counted", func() bool {
			words := strings.Fields(p.host.run("cat /proc/net/xfrm_stat"))
			return words[slices.Index(words, "XfrmInStateMismatch")+1] == "1"
		})
		if n := waiting(t, host); n != 0 {
			t.Errorf("%d datagrams arrived", n)
		}
	}
}

// Where no program listens, the kernel answers what came in ESP with an error in clear that
// quotes it: the guard holds that error back. The port that matters may be at either end.
func TestGuardESPQuotesNothing(t *testing.T) {
	p := newPair(t, "")
	withESP(t, p)
	p.install(true, threeHops()...)
	for _, w := range ways {
		peer := p.other.udp(t, w.peer, w.port)
		for held, port := range []int{w.port, 5470} {
			gone := p.host.udp(t, w.host, port)
			to := address(gone)
			if err := gone.Close(); err != nil {
				t.Fatal(err)
			}
			send(t, peer, to, plain)
			until(t, fmt.Sprintf("%s: the error about port %d is held back", w.name, port), func() bool {
				return p.observe().Hops[w.name].Out.Packets == uint64(held+1)
			})
		}
	}
}

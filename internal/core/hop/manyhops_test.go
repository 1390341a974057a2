package hop_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
)

// many is a machine in which so many hops with IKE are protected, each by SAs and
// policies of its own.
func many(n int) ([]hop.Hop, *hop.Seen) {
	charon, kernel := &hop.Charon{}, &hop.Kernel{}
	hops := make([]hop.Hop, n)
	for i := range hops {
		name := fmt.Sprintf("srv%d", i)
		remote := netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%x", i+1))
		hops[i] = hop.Hop{Name: name, Peer: name, Role: trust.Server, Local: here, Remote: remote, IKE: &hop.IKE{}}
		a, b := netip.PrefixFrom(here, 128), netip.PrefixFrom(remote, 128)
		for _, p := range []hop.XfrmPolicy{
			{Out: true, Source: a, Dest: b, Protocol: 17, SourcePort: 547, DestPort: 547},
			{Source: b, Dest: a, Protocol: 17, SourcePort: 547, DestPort: 547},
			{Out: true, Source: a, Dest: b, Protocol: 6, DestPort: 547},
			{Source: b, Dest: a, Protocol: 6, SourcePort: 547},
		} {
			p.ESP, p.Reqid = true, uint32(i+1)
			kernel.Policies = append(kernel.Policies, p)
		}
		in, out := uint32(0xc0000000+i), uint32(0xc0000000+i)
		kernel.States = append(kernel.States,
			hop.XfrmState{Source: remote, Dest: here, SPI: in, AuthErrors: uint64(i)}, hop.XfrmState{Source: here, Dest: remote, SPI: out})
		charon.Connections = append(charon.Connections, name)
		charon.IKE = append(charon.IKE, hop.IKESA{Hop: name, ID: uint32(i + 1), Established: true, Children: []hop.ChildSA{{
			Selector: "dhcp", ID: uint32(i + 1), Installed: true, SPIIn: in, SPIOut: out, In: hop.Traffic{Bytes: uint64(1000 + i)},
		}}})
	}
	return hops, &hop.Seen{Charon: charon, Kernel: kernel, Guard: &hop.Guard{Intact: true}}
}

// Each of many hops is judged by what is its own, and by nothing of the others.
func TestManyHops(t *testing.T) {
	hops, seen := many(100)
	m := hop.NewMonitor(hops)
	at := func(seconds int64) instant.Now {
		return instant.Now{Boot: instant.Instant(seconds * 1e9), Wall: time.Unix(seconds, 0)}
	}
	if actions, _ := m.Observe(at(1), seen); len(actions) != 0 {
		t.Errorf("nothing is missing, and asked is %v", actions)
	}
	for i, s := range m.States() {
		if !s.Protected || s.In.Bytes != uint64(1000+i) || s.Rejected != uint64(i) {
			t.Errorf("hop %d: state %+v", i, s)
		}
	}
	seen.Kernel.Policies[4*17+3].ESP = false                  // of srv17
	seen.Kernel.States[2*42+1].SPI++                          // of srv42
	seen.Charon.IKE[63].Hop = "somebody else"                 // of srv63
	seen.Charon.Connections[71] = seen.Charon.Connections[72] // of srv71
	m.Observe(at(2), seen)
	wrong := map[int]string{
		17: "a policy is missing in the kernel", 42: "", 63: "no SA: not negotiated yet", 71: "strongSwan has not got the connection",
	}
	actions, _ := m.Observe(at(3), seen) // an SA is missed when it is missing twice
	wrong[42] = "an SA is missing in the kernel"
	for i, s := range m.States() {
		if s.Problem != wrong[i] || s.Protected != (wrong[i] == "") {
			t.Errorf("hop %d: state %+v, want the problem %q", i, s, wrong[i])
		}
	}
	if len(actions) != 1 || actions[0].Kind != hop.Reinstall || actions[0].Hop != "srv42" {
		t.Errorf("asked for %v", actions)
	}
}

// BenchmarkObserve is what a look at a hop costs, where there are few and many.
func BenchmarkObserve(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			hops, seen := many(n)
			m := hop.NewMonitor(hops)
			now := instant.Now{Boot: 1e9}
			b.ReportAllocs()
			for b.Loop() {
				now.Boot += 1e9
				m.Observe(now, seen)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/hop")
		})
	}
}

package servers

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/clock"
	"fairlead/internal/host/store"
	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// These figures are wanted.
const (
	wantMemory = 700 // octets per lease
	wantStart  = 5 * time.Second
	wantFull   = 1.5 // times the cost of a Solicit against an empty pool
)

// The pool of the servers, the one with many leases and the one with none: 2^20 prefixes, of
// which 99 % or none are delegated.
const (
	narrow    = "2001:db8:4000::/40"
	poolSize  = 1 << 20
	fullShare = 0.99
)

// The two servers that take turns.
const (
	empty = "empty"
	full  = "full"
)

// unkept names what the bars require of each lease, but the server does not store.
const unkept = "remote-id, relay-id and host name are not stored yet"

// held returns the numbers of the clients with a lease, which are also the numbers of their
// prefixes in the pool.
func held() (all []uint32) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range uint32(poolSize) {
		if random.Float64() < fullShare {
			all = append(all, i)
		}
	}
	return all
}

// prefixOf returns the prefix with a number in the pool.
func prefixOf(number uint32) netip.Prefix {
	a := netip.MustParsePrefix(narrow).Addr().As16()
	a[5], a[6], a[7] = byte(number>>12), byte(number>>4), byte(number<<4)
	return netip.PrefixFrom(netip.AddrFrom16(a), delegated)
}

// fill writes leases into a store, as the server would have done: for clients behind the relay
// agent, with one prefix each.
func fill(state string) (err error) {
	const group = 10_000
	if err := os.Mkdir(state, 0o700); err != nil {
		return err
	}
	bootID, err := clock.BootID()
	if err != nil {
		return err
	}
	s, err := store.Open(state, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c := clock.Now()
	now := instant.Now{Boot: instant.Instant(c.Boot), Wall: c.Wall, Synced: c.Synced}
	var ops []store.Op
	for _, i := range held() {
		mac := loadgen.MAC(i)
		b := binding.Binding{
			Link: "network/" + subnet, Prefix: prefixOf(i), Client: binding.DUID(loadgen.DUID(i)), IAID: loadgen.IAID,
			NextHop: netip.AddrFrom16(loadgen.LinkLocal(i)), LinkLayer: linkaddr.From(mac[:]), Source: binding.Assigned,
			Preferred: now.Boot.After(2000 * time.Second), Valid: now.Boot.After(3000 * time.Second), Lifetime: 3000 * time.Second,
			Granted: now.Wall, Changed: now.Wall,
		}
		ops = append(ops, store.Op{Key: binding.Key(nil, binding.Server6, "", b.Prefix), Value: binding.AppendRecord(nil, binding.Server6, &b, now, bootID)})
		if len(ops) == group {
			if err := s.Commit(ops); err != nil {
				return err
			}
			ops = ops[:0]
		}
	}
	return s.Commit(ops)
}

// many is a bench of our server with many leases, or of that server and one without leases. All
// such benches share both servers.
func (s *Suite) many(name string, between []string, turn func(one *server, who string, to *harness.Results) error, bar harness.Bar) harness.Bench {
	return harness.Bench{
		Name: name, Between: between, Bars: []harness.Bar{bar},
		Begin: func(who string) (err error) {
			if s.leases[who] != nil {
				return nil
			}
			write := fill
			if who == empty {
				write = nil
			}
			if s.leases[who], err = s.begin(ours, narrow, write); err == nil {
				err = s.leases[who].Rest()
			}
			return err
		},
		Turns: []harness.Turn{func(who string, _ int, to *harness.Results) error {
			one := s.leases[who]
			return one.InTurn(func() error { return turn(one, who, to) })
		}},
	}
}

// memory compares the memory of the two.
func (s *Suite) memory() harness.Bench {
	named := func(who string) string { return "Server6Memory/leases=" + who }
	b := s.many("memory6", []string{empty, full}, func(one *server, who string, to *harness.Results) error {
		rss, err := one.SteadyMemory()
		if err == nil {
			to.Add(named(who), 1, harness.Of(float64(rss), network.RSS))
		}
		return err
	}, harness.Bar{
		Name: "server6-memory", Wanted: fmt.Sprintf("at most %d octets a lease", wantMemory),
		Judge: func(r *harness.Results) harness.Verdict {
			leases := float64(len(held()))
			each := (r.Median(named(full), network.RSS) - r.Median(named(empty), network.RSS)) / leases
			if each != each {
				return harness.Unknown("nothing was measured")
			}
			return harness.Verdict{Figure: fmt.Sprintf("%.0f octets each of %.0f with a DUID (%s)", each, leases, unkept), Met: each <= wantMemory}
		},
	})
	b.Once = true
	return b
}

// fullPool compares the CPU time of a Solicit, at both.
func (s *Suite) fullPool() harness.Bench {
	const (
		clients = 1 << 18
		first   = 1 << 24 // above the numbers of all clients with a lease
	)
	named := func(who string) string { return "Server6Pool/pool=" + who }
	return s.many("full-pool6", []string{empty, full}, func(one *server, who string, to *harness.Results) error {
		res, err := one.Play(network.Load{Clients: clients, First: first, Mix: "solicit=1", Window: 64, Length: s.Length})
		if err == nil {
			add(to, named(who), res)
		}
		return err
	}, harness.Bar{
		Name: "server6-full-pool", Wanted: fmt.Sprintf("at most %g", wantFull),
		Judge: func(r *harness.Results) harness.Verdict {
			v := harness.AtMost(wantFull, harness.Median(r.Shares(named(full), named(empty), network.CPU)), "the cost against an empty pool")
			v.Figure += fmt.Sprintf(" (%.1f and %.1f us)", 1e6*r.Median(named(full), network.CPU), 1e6*r.Median(named(empty), network.CPU))
			return v
		},
	})
}

// Units of a start.
const (
	ready   = "ready-sec"   // until READY=1
	renewed = "renewed-sec" // until the answer to a Renew
)

// start starts the server with many leases in its store, and with an empty page cache. The start
// is complete when a Renew of one of the leases is answered.
func (s *Suite) start() harness.Bench {
	const named = "Server6Start"
	b := s.many("start6", []string{full}, func(one *server, _ string, to *harness.Results) error {
		readyAfter, renewedAfter, err := one.restart()
		if err == nil {
			to.Add(named, 1, harness.Of(readyAfter.Seconds(), ready), harness.Of(renewedAfter.Seconds(), renewed))
		}
		return err
	}, harness.Bar{
		Name: "server6-start", Wanted: fmt.Sprintf("under %g s", wantStart.Seconds()),
		Judge: func(r *harness.Results) harness.Verdict {
			took := r.Median(named, renewed)
			if took != took {
				return harness.Unknown("nothing was measured")
			}
			return harness.Verdict{
				Figure: fmt.Sprintf("%.2f s for %d (%s, so there is no index by relay-id)", took, len(held()), unkept),
				Met:    took < wantStart.Seconds(),
				Notes:  []string{fmt.Sprintf("READY=1 came after %.2f s.", r.Median(named, ready))},
			}
		},
	})
	b.End = func() (err error) {
		for _, one := range s.leases {
			err = errors.Join(err, one.Close())
		}
		return err
	}
	return b
}

// restart stops our server, makes the start a cold one, and returns how long it took until the
// server was ready, and until it had answered the Renew of a random lease.
func (s *server) restart() (ready, renewed time.Duration, err error) {
	if err := s.fairlead.Stop(); err != nil {
		return 0, 0, err
	}
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
		return 0, 0, err
	}
	all := held()
	client := all[rand.N(len(all))]
	answered := make(chan error, 1)
	start := time.Now()
	if err := s.fairlead.Launch(); err != nil {
		return 0, 0, err
	}
	go func() {
		err := s.renews(client, 10*time.Millisecond)
		renewed = time.Since(start)
		answered <- err
	}()
	err = s.fairlead.Ready()
	ready = time.Since(start)
	s.Processes = []*lab.Proc{s.fairlead.Proc()}
	err = errors.Join(err, <-answered)
	return ready, renewed, err
}

// renews makes a client renew its lease, again after each pause, until the server extends it.
func (s *server) renews(client uint32, pause time.Duration) error {
	var agent *net.UDPConn
	err := s.Gen.Do(func() (err error) {
		agent, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(network.AgentAddress), dhcp6.ServerPort)))
		return err
	})
	if err != nil {
		return err
	}
	defer agent.Close()
	renew, err := renewal(client)
	if err != nil {
		return err
	}
	server := netip.AddrPortFrom(netip.MustParseAddr(network.LinkAddress), dhcp6.ServerPort)
	room := make([]byte, 1<<16)
	for end := time.Now().Add(network.Patience); time.Now().Before(end); {
		if _, err := agent.WriteToUDPAddrPort(renew, server); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			return err
		}
		if err := agent.SetReadDeadline(time.Now().Add(pause)); err != nil {
			return err
		}
		for {
			size, err := agent.Read(room)
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, unix.ECONNREFUSED) {
				break
			}
			if err != nil {
				return err
			}
			if extends(room[:size], client) {
				return nil
			}
		}
	}
	return fmt.Errorf("no Renew of client %d was answered in %v", client, network.Patience)
}

// renewal returns a client's Renew of its lease, in the Relay-forward of the relay agent.
func renewal(client uint32) ([]byte, error) {
	return relayed(dhcp6.RelayForward, dhcp6.Renew, client, 0)
}

// relayed returns a message about a client's lease, in a relay layer.
func relayed(layer, kind dhcp6.MessageType, client uint32, valid dhcp6.Lifetime) (b []byte, err error) {
	b = dhcp6.AppendRelayHeader(nil, layer, 0, netip.MustParseAddr(network.AgentAddress), netip.AddrFrom16(loadgen.LinkLocal(client)))
	b, message := dhcp6.BeginOption(b, dhcp6.OptionRelayMessage)
	b = dhcp6.AppendMessageHeader(b, kind, client)
	b = dhcp6.AppendClientID(b, loadgen.DUID(client))
	b = dhcp6.AppendServerID(b, serverID)
	b, ia := dhcp6.BeginIA(b, dhcp6.OptionIAPD, loadgen.IAID, 0, 0)
	b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{Prefix: prefixOf(client), Preferred: valid, Valid: valid})
	if b, err = dhcp6.EndOption(b, ia); err != nil {
		return nil, err
	}
	return dhcp6.EndOption(b, message)
}

// extends reports whether a datagram is the Reply by which a client's lease is extended.
func extends(datagram []byte, client uint32) bool {
	r, err := dhcp6.ParseRelay(datagram)
	if err != nil {
		return false
	}
	inner, _ := r.Inner()
	m, err := dhcp6.ParseMessage(inner)
	if err != nil || m.Type() != dhcp6.Reply {
		return false
	}
	if duid, _ := m.ClientID(); !bytes.Equal(duid, loadgen.DUID(client)) {
		return false
	}
	for _, ia := range m.Options().IAs() {
		for code, payload := range ia.Options.All() {
			if v, err := dhcp6.ParseIAPrefix(payload); code == dhcp6.OptionIAPrefix && err == nil && v.Prefix == prefixOf(client) && v.Valid > 0 {
				return true
			}
		}
	}
	return false
}

// allocations runs the core's Go benchmark of a Solicit.
func (s *Suite) allocations() harness.Bench {
	const benchmark = "SolicitAnswered"
	return harness.Bench{
		Name: "allocs-server6", Between: []string{ours}, Once: true,
		Turns: []harness.Turn{func(_ string, _ int, to *harness.Results) error {
			return to.Benchmarks("./internal/core/server6", benchmark)
		}},
		Bars: []harness.Bar{{
			Name: "server6-allocs", Wanted: "0 for a Solicit and its Advertise",
			Judge: func(r *harness.Results) harness.Verdict {
				n := r.Median(benchmark, "allocs/op")
				if n != n {
					return harness.Unknown("the benchmark has told nothing")
				}
				return harness.Verdict{Figure: fmt.Sprintf("%.0f", n), Met: n == 0}
			},
		}},
	}
}

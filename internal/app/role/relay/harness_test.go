package relay

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

const (
	uplink = iota + 1
	linkA
	linkB
)

// played is a relay with its engine: two client links, and a server behind an uplink,
// over a store, a kernel and sockets that always work.
type played struct {
	*relay
	*engine.Engine[*relay6.Relay]
	log   *slog.Logger
	inbox *engine.Inbox
}

func newPlayed(t *testing.T, log *slog.Logger, rules *privacy.Rules) *played {
	t.Helper()
	server := trust.Peer{
		Name: "server", Address: netip.MustParseAddr("2001:db8:ff::2"), Prefix: netip.MustParsePrefix("2001:db8:ff::2/128"),
		Role: trust.Server, Interfaces: []string{"u0"}, Protection: trust.ProtectionNone,
	}
	cfg := &relay6.Config{Peers: []trust.Peer{server}, Links: []relay6.LinkRule{{Match: []string{"d*"}}}}
	p := &played{log: log}
	lost := network.NewFailures(log, notes.NewLimiter(time.Hour))
	p.relay = &relay{routed: func(map[int]uint32, bool) {}, Side: network.Side[*relay6.Relay]{
		Lost: lost, Silent: func() {}, Inlets: inlets,
		Notes: &notes.Notes{Log: log, Privacy: rules, Feed: control.NewFeed(), Once: notes.NewLimiter(time.Hour)},
	}}
	p.inbox = engine.NewInbox()
	p.Net = network.New(network.Options{
		Log: log, Inbox: p.inbox, Family: network.IPv6,
		Classifier: network.Classifier6(nil),
	})
	p.Net.Open(p)
	p.Net.Configure(cfg.Peers, dhcp6.ServerPort)
	p.Engine = engine.New(engine.Options[*relay6.Relay]{
		Log: log, Privacy: rules, Role: p.relay, Inbox: p.inbox, Store: p, Hosts: []engine.Installer{p}, Kernel: p,
	})
	p.Make = func(_ instant.Now, eff *effect.Effects) (*relay6.Relay, error) {
		core := relay6.New(cfg, "boot")
		for index, name := range map[int]string{uplink: "u0", linkA: "dA", linkB: "dB"} {
			core.SetLink(links.Link{Index: index, Name: name, Up: true, Running: true, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}}, eff)
		}
		return core, nil
	}
	var eff effect.Effects
	core, err := p.Build(service.Now(), &eff)
	if err != nil {
		t.Fatal(err)
	}
	p.Core = core
	p.Open(p, p, 1)
	return p
}

// Nothing ever comes from the network.
func (p *played) Wait() error                          { select {} }
func (p *played) Receive(int, func(*udp.Datagram)) int { return 0 }

func quietPlayed(t *testing.T) *played { return newPlayed(t, slog.New(slog.DiscardHandler), nil) }

// run runs the engine until the test ends.
func (p *played) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for name, task := range p.Tasks() {
		if name == "sockets" {
			continue
		}
		running.Go(func() {
			if err := task(ctx); err != nil {
				t.Errorf("%s ended with %v", name, err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })
}

// Nobody compares the kernel.
func (p *played) Soon()          {}
func (p *played) Later()         {}
func (p *played) OthersChanged() {}

func (p *played) Commit([]store.Op) error { return nil }

func (p *played) Apply([]hoststate.Op, func(int, error)) error { return nil }

func (p *played) Send([]udp.Outgoing, func(int, error)) {}
func (p *played) SetLinks([]udp.Link) error             { return nil }
func (p *played) AddLocal(udp.Local) error              { return nil }
func (p *played) RemoveLocal(udp.Local) error           { return nil }

func (p *played) Source(netip.Addr, string) (netip.Addr, error) {
	return netip.Addr{}, unix.ENETUNREACH
}

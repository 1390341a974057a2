package roles_test

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/api"
	"fairlead/internal/app/cli"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/process"
	"fairlead/internal/app/role"
	"fairlead/internal/core/admission"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// echoRole is a role for tests. It answers each Information-request of clients on its links with
// a Reply that has its client identifier, and nothing else.
func echoRole() role.Role {
	return role.Role{
		Section: config.Kind{
			Name: echoName, Want: "a mapping with links", Family: config.DHCPv6,
			Default: func() config.Section { return new(echoSection) },
			Decode: func(v config.Value, _ *config.Process) config.Section {
				s := new(echoSection)
				v.Mapping(config.Required("links", "the links with clients", config.Links(&s.links, config.DHCPv6)))
				return s
			},
		},
		Commands: []cli.Command{cli.Look("echo", "Show what was answered", echoName, func(w io.Writer, f echoFigures) error {
			_, err := fmt.Fprintf(w, "%d answered\n", f.Answered)
			return err
		})},
		New: newEcho,
	}
}

const echoName = "echo6"

// echoSection is the role's part of the configuration.
type echoSection struct{ links []string }

func (s *echoSection) Serves(f config.Family, link string) bool {
	return f == config.DHCPv6 && trust.MatchAny(s.links, link)
}

func (s *echoSection) Changed(next config.Section) []string {
	if slices.Equal(s.links, next.(*echoSection).links) {
		return nil
	}
	return []string{"links"}
}

// echoFigures are the role's figures, for operators and metrics.
type echoFigures struct {
	Answered uint64 `json:"answered" counter:"echo_answers_total" help:"Information-requests that were answered."`
	Dropped  uint64 `json:"dropped" counter:"echo_dropped_total" help:"Datagrams that were not answered."`
}

// echoCore is the role's core.
type echoCore struct{ echoFigures }

func (c *echoCore) Handle(_ instant.Now, p *inbound.Packet, eff *effect.Effects) {
	m, err := dhcp6.ParseMessage(p.Payload)
	if err != nil || m.Type() != dhcp6.InformationRequest {
		c.Dropped++
		return
	}
	c.Answered++
	start := len(eff.Arena)
	eff.Arena = dhcp6.AppendMessageHeader(eff.Arena, dhcp6.Reply, m.TransactionID())
	eff.Arena = dhcp6.AppendServerID(eff.Arena, dhcp6.DUID("\x00\x03\x00\x01echo"))
	if id, ok := m.ClientID(); ok {
		eff.Arena = dhcp6.AppendClientID(eff.Arena, id)
	}
	eff.Sends = append(eff.Sends, effect.Send{Link: p.Link, Dest: p.Source, LinkLayer: p.LinkLayer, Payload: eff.Arena[start:]})
}

func (c *echoCore) CountDrop(_ int, _ effect.Drop, n uint64) { c.Dropped += n }

func (*echoCore) Tick(instant.Now, *effect.Effects)                           {}
func (*echoCore) Deadline() instant.Instant                                   { return instant.Never }
func (*echoCore) Settle(instant.Now, effect.Outcome, *effect.Effects)         {}
func (*echoCore) Probed(instant.Now, binding.Question, bool, *effect.Effects) {}
func (*echoCore) Unprobed(instant.Now, binding.Question, *effect.Effects)     {}
func (*echoCore) Unkept() int                                                 { return 0 }

// echo plays the role.
type echo struct {
	house   *role.House
	section *echoSection
	inbox   *engine.Inbox
	net     *network.Network
	notes   *notes.Notes
	engine  *engine.Engine[*echoCore]
}

func newEcho(h *role.House) role.Player {
	once := notes.NewLimiter(h.Config.Log.Every)
	e := &echo{
		house: h, section: h.Config.Sections[echoName].(*echoSection), inbox: engine.NewInbox(),
		notes: &notes.Notes{Log: h.Log, Privacy: h.Privacy, Feed: h.Feed, Once: once},
	}
	e.net = network.New(network.Options{
		Log: h.Told, Inbox: e.inbox, Family: network.IPv6,
		Classifier: func(*trust.Set, map[int]network.Inlet) engine.Classifier { return e },
	})
	e.engine = engine.New(engine.Options[*echoCore]{Log: h.Told, Privacy: h.Privacy, Role: e, Inbox: e.inbox, Store: h.Store, Kernel: h.Kernel, Links: h.Events})
	e.engine.Core = new(echoCore)
	return e
}

// The methods of a player.

func (e *echo) Restore() (map[string]int, error) {
	all, err := e.house.Netlink.Snapshot()
	for _, l := range all {
		e.net.Know(l)
	}
	return nil, err
}

func (e *echo) Open(in engine.Receiver, out role.Sockets) {
	e.net.Open(out)
	e.engine.Open(in, out, 1)
	e.net.Update(e.rules)
}

func (e *echo) rules(link string) network.Inlet {
	return network.Inlet{Name: link, Clients: e.section.Serves(config.DHCPv6, link)}
}

func (e *echo) Alive(ctx context.Context) error {
	return e.engine.Call(ctx, func(instant.Now, *effect.Effects) {})
}

func (e *echo) figures(ctx context.Context) (f echoFigures, err error) {
	err = e.engine.Call(ctx, func(instant.Now, *effect.Effects) { f = e.engine.Core.echoFigures })
	return f, err
}

func (e *echo) Routes() []control.Route {
	return []control.Route{control.Look("/v1/"+echoName, e.figures)}
}

func (e *echo) Collectors() []prometheus.Collector {
	return []prometheus.Collector{metrics.Of(e.figures)}
}

func (e *echo) Prospect(context.Context, *config.Config, *api.ReloadResult) (map[string]int, error) {
	return nil, nil
}

func (e *echo) Reconfigure(ctx context.Context, next *config.Config) error {
	return e.engine.Call(ctx, func(instant.Now, *effect.Effects) {
		e.section = next.Sections[echoName].(*echoSection)
		e.net.Update(e.rules)
	})
}

func (e *echo) Tasks() map[string]process.Task                        { return e.engine.Tasks() }
func (e *echo) Inbox() *engine.Inbox                                  { return e.inbox }
func (e *echo) Done() <-chan struct{}                                 { return e.engine.Done() }
func (*echo) Hears(*udp.Datagram) bool                                { return false }
func (*echo) Refused(udp.Refusal)                                     {}
func (*echo) Count(context.Context, *api.Counters) error              { return nil }
func (*echo) Judge(context.Context, *api.Status, *api.Counters) error { return nil }
func (*echo) Close() error                                            { return nil }

// The methods of a classifier.

func (e *echo) Classify(p *inbound.Packet) engine.Arrival {
	return engine.Arrival{Class: admission.Clients, Source: admission.SourceOf(p.LinkLayer, p.Source.Addr())}
}

func (*echo) AsksForChange([]byte) bool { return false }

// The methods of a role of the engine.

func (e *echo) Build(instant.Now, *effect.Effects) (*echoCore, error) { return new(echoCore), nil }
func (e *echo) Tell(eff *effect.Effects)                              { e.notes.Take(eff) }
func (e *echo) Outgoing(s *effect.Send) udp.Outgoing                  { return e.net.Outgoing(s) }
func (e *echo) Pass(at instant.Instant, _ *echoCore)                  { e.net.Retry(at, e.rules) }
func (e *echo) LinksChanged(*echoCore)                                { e.net.Update(e.rules) }

func (e *echo) LinkChanged(_ *echoCore, event netlink.Event, _ *effect.Effects) {
	switch {
	case event.Link != nil:
		e.net.Know(*event.Link)
	case event.Removed != "":
		e.net.Forget(event.Removed)
	}
}

func (e *echo) Unsent(o udp.Outgoing, err error) {
	e.house.Told.Warn("datagram not sent", "link", o.Link, "error", err)
}

func (*echo) Before(instant.Now, *echoCore, *effect.Effects)            {}
func (*echo) HearsExtensions() bool                                     { return false }
func (*echo) Suspect([]byte) (of [16]byte)                              { return of }
func (*echo) Probe(context.Context, effect.Probe) (answers, asked bool) { return false, false }

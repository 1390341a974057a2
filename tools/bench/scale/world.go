package scale

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/store"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

const (
	upIndex   = 1
	firstLink = 100
	maxLinks  = 4000
	lifetime  = 3600 // seconds
	bootID    = "4f2d5c31-8a77-4e0e-9a54-6f1f4b8d2c10"
)

var (
	serverAddr = netip.MustParseAddr("2001:db8:ffff::1")
	localAddr  = netip.MustParseAddr("2001:db8:ffff::2")
	boot       = instant.Instant(time.Hour)
	wall       = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

// world plays the application around a core and its store: what is decided is kept, then
// installed, and then the core is told.
type world struct {
	core   *relay6.Relay
	store  *store.Store
	kernel kernel
	dir    string
	links  int
	now    instant.Now
	eff    effect.Effects
	ops    []hoststate.Op // reused
	spent  spent
}

// spent has the processor time of a grant, by its parts.
type spent struct {
	core, store, kernel time.Duration
}

func newWorld(links int, k kernel) (*world, error) {
	dir, err := os.MkdirTemp("", "fairlead-scale-")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	w := &world{kernel: k, dir: dir, links: links, now: instant.Now{Boot: boot, Wall: wall, Synced: true}}
	if w.store, err = store.Open(dir, store.Options{}); err != nil {
		return nil, err
	}
	w.begin()
	return w, nil
}

// close removes what is left of the world.
func (w *world) close() error {
	err := w.store.Close()
	if e := os.RemoveAll(w.dir); err == nil {
		err = e
	}
	return err
}

// begin makes an empty core that knows the links.
func (w *world) begin() {
	w.core = relay6.New(configuration(), bootID)
	w.core.SetLink(links.Link{
		Index: upIndex, Name: "up0", Up: true, Running: true, MTU: 1500, HardwareType: 1, Table: hoststate.MainTable,
		Addrs: []netip.Prefix{netip.PrefixFrom(localAddr, 64)},
	}, &w.eff)
	for i := range w.links {
		w.core.SetLink(links.Link{
			Index: firstLink + i, Name: linkName(i), Up: true, Running: true, MTU: 1500, HardwareType: 1, Table: hoststate.MainTable,
			LinkLayer: linkaddr.From([]byte{2, 0xfe, 0, 0, byte(i >> 8), byte(i)}),
			Addrs:     []netip.Prefix{netip.MustParsePrefix("fe80::1/64")},
		}, &w.eff)
	}
}

func linkName(i int) string { return fmt.Sprintf("d%d", i) }

// configuration returns the strictest configuration: sources are bound to their client's
// link-layer address, and looping packets are dropped by it. No next hop is probed, because
// nothing moves here.
func configuration() *relay6.Config {
	name, err := links.ParseTemplate("{interface}")
	if err != nil {
		panic(err)
	}
	return &relay6.Config{
		Peers: []trust.Peer{{
			Name: "server", Address: serverAddr, Prefix: netip.PrefixFrom(serverAddr, 128), Local: localAddr,
			Role: trust.Server, Interfaces: []string{"up*"}, Protection: trust.ProtectionNone,
		}},
		Links: []relay6.LinkRule{{
			Match: []string{"d*"}, Shared: true, InterfaceID: name,
			Delegations: delegation.Policy{
				ClientLimit: delegation.DefaultClientLimit, LinkLimit: 1 << 20, HostLimit: 2 * delegation.DefaultClientLimit, Move: delegation.MoveProbe,
			},
			Host: hoststate.Policy{Filter: hoststate.FilterStrict, Loop: hoststate.LoopDrop},
		}},
	}
}

// client is a client, by its number, with its one prefix.
type client struct {
	link   int
	addr   netip.Addr
	mac    linkaddr.Addr
	duid   dhcp6.DUID
	prefix netip.Prefix
}

func (w *world) client(i int) client {
	mac := []byte{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
	a := [16]byte{0xfe, 0x80, 8: 0, 9: 0, 10: 0, 11: 0xff, 12: 0xfe}
	copy(a[13:], mac[3:])
	p := [16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)}
	return client{
		link: i % w.links, addr: netip.AddrFrom16(a), mac: linkaddr.From(mac),
		duid: dhcp6.AppendDUIDLL(nil, 1, mac), prefix: netip.PrefixFrom(netip.AddrFrom16(p), 56),
	}
}

// asks returns the client's Request, as it comes from the link.
func (c client) asks() inbound.Packet {
	b := dhcp6.AppendMessageHeader(nil, dhcp6.Request, 1)
	b = dhcp6.AppendClientID(b, c.duid)
	b, mark := dhcp6.BeginIA(b, dhcp6.OptionIAPD, 1, 0, 0)
	b, _ = dhcp6.EndOption(b, mark)
	return inbound.Packet{
		Link: firstLink + c.link, Source: netip.AddrPortFrom(c.addr, dhcp6.ClientPort), Dest: dhcp6.AllRelayAgentsAndServers,
		LinkLayer: c.mac, HardwareType: 1, Payload: b,
	}
}

// granted returns the server's Relay-reply.
func (c client) granted() inbound.Packet {
	b := dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 1)
	b = dhcp6.AppendClientID(b, c.duid)
	b, mark := dhcp6.BeginIA(b, dhcp6.OptionIAPD, 1, 0, 0)
	b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{Prefix: c.prefix, Preferred: lifetime / 2, Valid: lifetime})
	b, _ = dhcp6.EndOption(b, mark)
	r := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, netip.IPv6Unspecified(), c.addr)
	r = dhcp6.AppendInterfaceID(r, []byte(linkName(c.link)))
	return inbound.Packet{
		Link: upIndex, Source: netip.AddrPortFrom(serverAddr, dhcp6.ServerPort), Dest: localAddr,
		Payload: dhcp6.AppendOption(r, dhcp6.OptionRelayMessage, b),
	}
}

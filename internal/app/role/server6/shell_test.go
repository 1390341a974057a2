package server6

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"fairlead/internal/app/config"
	"fairlead/internal/app/kept"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/host/store"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// shell plays everything around the server's core but its configuration and its store, which are real:
// the network, the kernel, and the order in which a shell carries Effects out.
type shell struct {
	testing.TB
	core   *server6.Server
	store  *store.Store
	now    instant.Now
	eff    effect.Effects
	flight []effect.Change
	waits  map[effect.ChangeID][]effect.Send
	leaves func(effect.Send) // is told of each datagram that leaves
}

const (
	campusLink = "br-campus"
	linkIndex  = 5
	stateDir   = "/var/state"
)

// serverID is the server's.
var serverID = dhcp6.DUID("\x00\x04a server in a test")

// boot starts a server with a configuration and what a disk has. The machine has booted at that wall time.
func boot(t testing.TB, text []byte, disk vfs.FS, wall time.Time) (*shell, error) {
	t.Helper()
	cfg, err := config.Kinds{config.Server6Kind()}.Parse("test.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{TB: t, now: instant.Now{Boot: 1e9, Wall: wall, Synced: true}, waits: make(map[effect.ChangeID][]effect.Send), leaves: func(effect.Send) {}}
	if s.store, err = store.Open(stateDir, store.Options{FS: disk, ReserveBytes: -1}); err != nil {
		return nil, err
	}
	core := section(cfg).Core(cfg.Peers, serverID, [32]byte{1, 2, 3}, ledger.Records{})
	s.core = server6.New(&core, "boot of "+wall.String())
	s.core.SetLink(links.Link{
		Index: linkIndex, Name: campusLink, Up: true, Running: true, MTU: 1500, HardwareType: 1,
		Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("2001:db8:1::1/64")},
	}, &s.eff)
	if err := recall(s.core, s.now, &kept.Reader{Log: slog.New(slog.DiscardHandler), Scan: s.store.Scan}, &s.eff); err != nil {
		return nil, errors.Join(err, s.store.Close())
	}
	s.carryOut()
	return s, nil
}

// carryOut carries the Effects out in the order that their type says, one Change after another.
func (s *shell) carryOut() {
	if len(s.eff.Probes) > 0 {
		s.Errorf("the server asks %+v: no client of the test has two hosts", s.eff.Probes)
	}
	s.flight = append(s.flight, s.eff.Changes...)
	for _, d := range s.eff.Sends {
		d.Payload = slices.Clone(d.Payload)
		if d.After != 0 {
			s.waits[d.After] = append(s.waits[d.After], d)
		} else {
			s.leaves(d)
		}
	}
	s.eff.Reset()
	for len(s.flight) > 0 {
		c := s.flight[0]
		s.flight = s.flight[1:]
		o := effect.Outcome{ID: c.ID}
		if len(c.Keep) > 0 {
			var ops []store.Op
			for _, k := range c.Keep {
				ops = append(ops, store.Op{Key: k.Key, Value: k.Value})
			}
			o.Keep = s.store.Commit(ops)
		}
		for _, d := range s.waits[c.ID] {
			if o.Keep == nil || d.Extends {
				s.leaves(d)
			}
		}
		delete(s.waits, c.ID)
		s.core.Settle(s.now, o, &s.eff)
		s.carryOut()
	}
}

// sleep lets time pass on both clocks, with all that is due meanwhile.
func (s *shell) sleep(d time.Duration) {
	for end := s.now.Boot.After(d); ; {
		at := min(end, max(s.now.Boot, s.core.Deadline()))
		s.now.Wall = s.now.Wall.Add(time.Duration(at - s.now.Boot))
		if s.now.Boot = at; at == end {
			return
		}
		s.core.Tick(s.now, &s.eff)
		s.carryOut()
	}
}

// duid is the identifier of a device.
func duid(device int) dhcp6.DUID {
	return binary.BigEndian.AppendUint32(dhcp6.DUID("\x00\x04device"), uint32(device))
}

// deviceOf is the device that has an identifier.
func deviceOf(d dhcp6.DUID) int { return int(binary.BigEndian.Uint32(d[len(d)-4:])) }

// says has a device send a message, with its identifier and, where it belongs there, the server's.
func (s *shell) says(device int, kind dhcp6.MessageType, options ...[]byte) {
	m := dhcp6.AppendClientID(dhcp6.AppendMessageHeader(nil, kind, uint32(device)), duid(device))
	if kind != dhcp6.Solicit && kind != dhcp6.Rebind {
		m = dhcp6.AppendServerID(m, serverID)
	}
	number := binary.BigEndian.AppendUint32(nil, uint32(device))
	source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: 2, 12: number[0], 13: number[1], 14: number[2], 15: number[3]})
	s.core.Handle(s.now, &inbound.Packet{
		Link: linkIndex, Source: netip.AddrPortFrom(source, dhcp6.ClientPort), Dest: dhcp6.AllRelayAgentsAndServers,
		LinkLayer: linkaddr.From(append([]byte{2, 0}, number...)), HardwareType: 1, Framed: true,
		Payload: append(m, slices.Concat(options...)...),
	}, &s.eff)
	s.carryOut()
}

// asks is says, and returns the one answer.
func (s *shell) asks(device int, kind dhcp6.MessageType, options ...[]byte) (answer dhcp6.Message) {
	s.Helper()
	n := 0
	leaves := s.leaves
	defer func() { s.leaves = leaves }()
	s.leaves = func(d effect.Send) {
		leaves(d)
		var err error
		if answer, err = dhcp6.ParseMessage(d.Payload); err != nil {
			s.Fatal(err)
		}
		n++
	}
	s.says(device, kind, options...)
	if n != 1 {
		s.Fatalf("device %d: %d answers to a %v, want one", device, n, kind)
	}
	return answer
}

// prefixes are those of an answer that are given.
func prefixes(m dhcp6.Message) (all []netip.Prefix) {
	for _, d := range script.Delegations(m) {
		if d.Valid > 0 {
			all = append(all, d.Prefix)
		}
	}
	return all
}

// taken is the IA_PD of an answer, as a client names it.
func taken(m dhcp6.Message) []byte {
	for code, payload := range m.Options().All() {
		if code == dhcp6.OptionIAPD {
			return dhcp6.AppendOption(nil, code, payload)
		}
	}
	return nil
}

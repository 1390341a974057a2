package server6

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// By a Reconfigure the server asks a client to send a message (RFC 8415 section 18.3.11), if the
// client has said that it accepts Reconfigures. The server repeats it until the client answers.

// The times of RFC 8415 section 7.6.
const (
	reconfigureTimeout = 2 * time.Second // REC_TIMEOUT, doubled each time
	reconfigureTries   = 8               // REC_MAX_RC
)

// reconfigures are the clients that are being asked, and the ways to clients behind relay agents
// that accept Reconfigures. A replay value is the value in the Authentication option that rises
// from message to message, by which a client detects replays (RFC 8415 section 20.3).
type reconfigures struct {
	asked    map[ledger.Client]*asked
	ways     map[ledger.Client]*way
	replay   uint64 // the newest replay value that was sent
	reserved uint64 // the store has kept that replay values up to this one may have been sent
}

// asked is a client that is being asked to send a message.
type asked struct {
	by      dhcp6.MessageType // the message that the client is to send: a Renew, Rebind or Information-request
	again   instant.Instant
	timeout time.Duration
	tries   int
}

// way is how a client behind relay agents was last reached. It is not kept: after a restart, the way
// is unknown until the client's next message.
type way struct {
	peer      string
	at        int // the index of the interface
	source    netip.AddrPort
	linkLayer linkaddr.Addr
	layers    []step // outermost first
}

// step is one relay layer of a way, with the options that an answer returns (echo).
type step struct {
	hops       uint8
	link, peer netip.Addr
	echo       []byte
}

func newReconfigures() reconfigures {
	return reconfigures{asked: make(map[ledger.Client]*asked), ways: make(map[ledger.Client]*way)}
}

// reconfigureKey is the key by which a client recognises the server's Reconfigures. It is derived
// from the secret and the DUID, so that it need not be kept for each client.
func (s *Server) reconfigureKey(duid []byte) (key dhcp6.ReconfigureKey) {
	h := hmac.New(sha256.New, s.cfg.Secret[:])
	h.Write([]byte("reconfigure"))
	h.Write(duid)
	var sum [sha256.Size]byte
	copy(key[:], h.Sum(sum[:0]))
	return key
}

// replayKey is the key in the store of the record that has reconfigures.reserved.
var replayKey = append([]byte(binding.Server6), replayLetter)

// replaysAtOnce is how many replay values are reserved in the store at once. After a restart, those
// that were reserved and not sent are skipped.
const replaysAtOnce = 1 << 16

// reserveReplays reserves more replay values in the store when only half of them or fewer are left.
// What is sent with the next value has to wait for the Change; 0: it need not wait. The very first
// value is the time, since the store may be new while clients already know the server.
func (s *Server) reserveReplays(now instant.Now, eff *effect.Effects) effect.ChangeID {
	c := &s.reconfigures
	if c.replay == 0 {
		c.replay = uint64(max(0, now.Wall.UnixNano()))
	}
	if c.replay+replaysAtOnce/2 < c.reserved {
		return 0
	}
	c.reserved = c.replay + replaysAtOnce
	return s.ledger.KeepRecord(replayKey, eff)
}

// nextReplay is a replay value above all earlier ones, of earlier runs as well (RFC 8415 section
// 20.3: RDM 0).
func (c *reconfigures) nextReplay() uint64 {
	c.replay++
	return c.replay
}

// record is the record under replayKey: 8 octets.
func (c *reconfigures) record() []byte { return binary.BigEndian.AppendUint64(nil, c.reserved) }

// restoreReplay takes in the record under replayKey; errors are ErrRecord.
func (c *reconfigures) restoreReplay(value []byte) error {
	if len(value) != 8 {
		return ErrRecord
	}
	c.reserved = max(c.reserved, binary.BigEndian.Uint64(value))
	c.replay = c.reserved
	return nil
}

// appendAccept appends the options for a client that accepts Reconfigures: Reconfigure Accept, and
// in a Reply the client's key.
func (s *Server) appendAccept(b []byte, r *request, t dhcp6.MessageType) []byte {
	b = dhcp6.AppendOption(b, dhcp6.OptionReconfAccept, nil)
	if t != dhcp6.Reply {
		return b
	}
	return dhcp6.AppendReconfigureKey(b, s.reconfigures.nextReplay(), s.reconfigureKey(r.duid))
}

// heardFrom takes in a message of a client. If the client was asked to send it, the server stops
// asking.
func (s *Server) heardFrom(r *request) {
	c := &s.reconfigures
	if len(c.asked) > 0 {
		k := r.key()
		if a := c.asked[k]; a != nil && a.by == r.m.Type() {
			delete(c.asked, k)
		}
	}
}

// rememberWay remembers the way to a client behind relay agents that has leases and accepts
// Reconfigures.
func (s *Server) rememberWay(r *request) {
	if r.relay == nil || !r.accepts || s.first(r) == nil {
		return
	}
	w := &way{peer: r.relay.Name, at: r.at.Index, source: r.p.Source, linkLayer: r.p.LinkLayer}
	for i := range r.layers {
		m := &r.layers[i]
		w.layers = append(w.layers, step{hops: m.HopCount(), link: m.LinkAddress(), peer: m.PeerAddress(), echo: echo(nil, m.Options())})
	}
	s.reconfigures.ways[r.key()] = w
}

// forgetWay forgets the way to the client of a binding if the client has no lease any more.
func (s *Server) forgetWay(b *binding.Binding) {
	if len(s.reconfigures.ways) == 0 || s.table.First(s.table.Holder(b.Link, b.Client)) != nil {
		return
	}
	delete(s.reconfigures.ways, ledger.Client{Link: b.Link, ID: b.Client})
}

// Reconfigured says how many clients an operator's command has reached.
type Reconfigured struct {
	Asked      int // clients that are being asked
	Refuse     int // clients that do not accept Reconfigures
	WayUnknown int // clients behind relay agents that have sent nothing since the start
}

// Selected are leases that match every field that is set.
type Selected struct {
	Client binding.Client
	Within netip.Prefix
	Link   string
}

// Ask asks the clients with selected leases to send a Renew, a Rebind or an Information-request.
func (s *Server) Ask(now instant.Now, of Selected, by dhcp6.MessageType, eff *effect.Effects) (done Reconfigured) {
	seen := make(map[ledger.Client]struct{})
	for link := range s.table.Links() {
		if of.Link != "" && of.Link != link {
			continue
		}
		for slot := range s.table.Slots(link) {
			k := ledger.Client{Link: link, ID: s.table.Client(slot)}
			if _, again := seen[k]; again || !of.Client.IsZero() && of.Client != k.ID || of.Within.IsValid() && !(of.Within.Bits() <= slot.Prefix().Bits() && of.Within.Overlaps(slot.Prefix())) {
				continue
			}
			seen[k] = struct{}{}
			switch {
			case !slot.Reconfigures():
				done.Refuse++
			case !isLocal(link) && s.reconfigures.ways[k] == nil:
				done.WayUnknown++
			default:
				done.Asked++
				s.reconfigures.asked[k] = &asked{by: by, again: now.Boot, timeout: reconfigureTimeout}
			}
		}
	}
	s.sendReconfigures(now, eff)
	return done
}

// askAtOnce bounds how many Reconfigures one call sends.
const askAtOnce = 256

// sendReconfigures sends the Reconfigures that are due, and gives up on clients that have not
// answered the last one.
func (s *Server) sendReconfigures(now instant.Now, eff *effect.Effects) {
	if len(s.reconfigures.asked) == 0 {
		return
	}
	due := slices.SortedFunc(maps.Keys(s.reconfigures.asked), func(a, b ledger.Client) int {
		return cmp.Or(cmp.Compare(s.reconfigures.asked[a].again, s.reconfigures.asked[b].again), cmp.Compare(a.Link, b.Link), a.ID.Compare(b.ID))
	})
	sent := 0
	for _, k := range due {
		a := s.reconfigures.asked[k]
		if a.again > now.Boot || sent == askAtOnce {
			return
		}
		sent++
		if a.tries == reconfigureTries || !s.reconfigure(now, k, a.by, eff) {
			delete(s.reconfigures.asked, k)
			eff.Note(effect.Note{Kind: effect.NoteReconfigure, Link: k.Link, Client: k.ID, Text: "client has not come back: given up"})
			continue
		}
		a.again, a.timeout, a.tries = now.Boot.After(a.timeout), 2*a.timeout, a.tries+1
	}
}

// deadline is when the next Reconfigure is due.
func (c *reconfigures) deadline() instant.Instant {
	at := instant.Never
	for _, a := range c.asked {
		at = min(at, a.again)
	}
	return at
}

// reconfigure sends a Reconfigure to a client; false if it has no lease any more or the way to it is
// gone.
func (s *Server) reconfigure(now instant.Now, k ledger.Client, by dhcp6.MessageType, eff *effect.Effects) bool {
	slot := s.table.First(s.table.Holder(k.Link, k.ID))
	if slot == nil {
		return false
	}
	out := effect.Send{Extends: true, After: s.reserveReplays(now, eff)}
	from := len(eff.Arena)
	b := eff.Arena
	var err error
	if isLocal(k.Link) {
		l := s.links.Named(k.Link)
		if l == nil || l.rule == nil {
			return false
		}
		out.Dest, out.Link, out.LinkLayer = netip.AddrPortFrom(slot.NextHop(), dhcp6.ClientPort), l.Index, slot.LinkLayer()
		b = s.appendReconfigure(b, []byte(k.ID.DUID()), by)
		s.traffic.Send(l.counts(), byte(dhcp6.Reconfigure))
	} else {
		w := s.reconfigures.ways[k]
		if w == nil {
			return false
		}
		peer, at := s.peers.Named(w.peer), s.links.At(w.at)
		if peer == nil || at == nil {
			return false
		}
		out.ToPeer, out.Peer, out.Source, out.Dest, out.LinkLayer, out.Link = true, peer, peer.Local, w.source, w.linkLayer, w.at
		if b, err = s.wrapReconfigure(b, w, []byte(k.ID.DUID()), by); err != nil {
			return false
		}
		s.peers.Told(peer)
		s.traffic.Send(at.counts(), byte(dhcp6.Reconfigure))
	}
	eff.Arena = b
	out.Payload = b[from:len(b):len(b)]
	eff.Sends = append(eff.Sends, out)
	return true
}

// wrapReconfigure appends a Reconfigure in the relay layers of a way.
func (s *Server) wrapReconfigure(b []byte, w *way, duid []byte, by dhcp6.MessageType) (_ []byte, err error) {
	marks := make([]int, len(w.layers))
	for i, l := range w.layers {
		b = dhcp6.AppendRelayHeader(b, dhcp6.RelayReply, l.hops, l.link, l.peer)
		b, marks[i] = dhcp6.BeginOption(append(b, l.echo...), dhcp6.OptionRelayMessage)
	}
	b = s.appendReconfigure(b, duid, by)
	for _, mark := range slices.Backward(marks) {
		if b, err = dhcp6.EndOption(b, mark); err != nil {
			return b, err
		}
	}
	return b, nil
}

// appendReconfigure appends a Reconfigure to a client (RFC 8415 section 18.3.11).
func (s *Server) appendReconfigure(b, duid []byte, by dhcp6.MessageType) []byte {
	start := len(b)
	b = dhcp6.AppendMessageHeader(b, dhcp6.Reconfigure, 0)
	b = dhcp6.AppendServerID(b, s.cfg.ServerID)
	b = dhcp6.AppendClientID(b, duid)
	b = dhcp6.AppendReconfMessage(b, by)
	return dhcp6.AppendReconfigureDigest(b, start, s.reconfigures.nextReplay(), s.reconfigureKey(duid))
}

package server6

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// maxPayload is how many octets a UDP datagram can carry over IPv6.
const maxPayload = 65535 - 8

// send answers a message. The answer waits for the Change that keeps what it grants.
func (s *Server) send(now instant.Now, r *request, t dhcp6.MessageType, eff *effect.Effects) {
	source := r.p.Source.Addr().WithZone("")
	out := effect.Send{Dest: netip.AddrPortFrom(source, dhcp6.ClientPort), Link: r.at.Index, LinkLayer: r.p.LinkLayer, Extends: true}
	if r.accepts && t == dhcp6.Reply {
		out.After = s.reserveReplays(now, eff)
	}
	from := len(eff.Arena)
	payload, err := s.write(now, eff.Arena, r, t)
	if err != nil || len(payload)-from > maxPayload {
		s.keep(now, eff)
		s.drop(r, effect.DropTooBig, eff)
		return
	}
	eff.Arena = payload
	out.Payload = payload[from:len(payload):len(payload)]
	if r.relay != nil {
		port := uint16(dhcp6.ServerPort)
		if _, other := r.layers[0].Options().First(dhcp6.OptionRelayPort); other {
			port = r.p.Source.Port() // RFC 8357 section 5.2
		}
		out.ToPeer, out.Peer, out.Source, out.LinkLayer = true, r.relay, r.relay.Local, linkaddr.Addr{}
		out.Dest = netip.AddrPortFrom(source, port)
		s.peers.Told(r.relay)
	}
	if len(s.events) > 0 {
		out.Extends = !binding.Grants(s.events)
		out.After = s.ledger.Tell(now, r.key(), s.events, &out.Extends, eff)
		s.events = s.events[:0]
	}
	s.traffic.Send(r.at.counts(), byte(t))
	s.traceStep(r, "answered: ", t.String(), eff)
	eff.Sends = append(eff.Sends, out)
}

// write appends the answer to a message, inside as many relay layers as the message had (RFC 8415
// section 19.3).
func (s *Server) write(now instant.Now, b []byte, r *request, t dhcp6.MessageType) (_ []byte, err error) {
	var marks [dhcp6.MaxRelayLayers]int
	for i := range r.layers {
		m := &r.layers[i]
		b = dhcp6.AppendRelayHeader(b, dhcp6.RelayReply, m.HopCount(), m.LinkAddress(), m.PeerAddress())
		b = echo(b, m.Options())
		if b, err = s.tellAssigned(now, b, r, m.Options()); err != nil {
			return b, err
		}
		b, marks[i] = dhcp6.BeginOption(b, dhcp6.OptionRelayMessage)
	}
	b, err = s.writeMessage(b, r, t)
	for i := len(r.layers) - 1; i >= 0 && err == nil; i-- {
		b, err = dhcp6.EndOption(b, marks[i])
	}
	return b, err
}

// echo appends the options of a relay layer that the answer has to return: the interface-id (RFC
// 8415 section 19.3), the relay source port (RFC 8357 section 5.2), and those that the relay agent
// lists in an Echo Request option (RFC 4994 section 4).
func echo(b []byte, options dhcp6.Options) []byte {
	var asked dhcp6.ORO
	if v, ok := options.First(dhcp6.OptionERO); ok {
		asked, _ = dhcp6.ParseORO(v)
	}
	for c, payload := range options.All() {
		switch {
		case c == dhcp6.OptionRelayMessage || c == dhcp6.OptionERO:
		case c == dhcp6.OptionInterfaceID, c == dhcp6.OptionRelayPort, asked.Contains(c):
			b = dhcp6.AppendOption(b, c, payload)
		}
	}
	return b
}

// writeMessage appends the answer without relay layers.
func (s *Server) writeMessage(b []byte, r *request, t dhcp6.MessageType) (_ []byte, err error) {
	b = dhcp6.AppendMessageHeader(b, t, r.m.TransactionID())
	if t == dhcp6.AddrRegReply {
		return r.appendRegistered(b), nil
	}
	b = dhcp6.AppendServerID(b, s.cfg.ServerID)
	if len(r.duid) > 0 {
		b = dhcp6.AppendClientID(b, r.duid)
	}
	if r.rapid {
		b = dhcp6.AppendOption(b, dhcp6.OptionRapidCommit, nil)
	}
	if t == dhcp6.Advertise && r.subnet.Preference > 0 {
		b = dhcp6.AppendOption(b, dhcp6.OptionPreference, []byte{r.subnet.Preference})
	}
	if r.told {
		b = dhcp6.AppendStatus(b, dhcp6.Status{Code: r.status, Message: []byte(words(r.status))})
	}
	t1, t2 := r.times()
	for i := range r.ias {
		if b, err = r.writeIA(b, &r.ias[i], t1, t2); err != nil {
			return b, err
		}
	}
	if !r.told || r.m.Type() == dhcp6.InformationRequest {
		b = s.writeOptions(b, r)
		if s.cfg.Registers && r.oro.Contains(dhcp6.OptionAddrRegEnable) {
			b = dhcp6.AppendOption(b, dhcp6.OptionAddrRegEnable, nil)
		}
		if r.accepts {
			b = s.appendAccept(b, r, t)
		}
	}
	return b, nil
}

// writeIA appends one IA of an answer. An IA with neither leases nor a status is left out.
func (r *request) writeIA(b []byte, x *ia, t1, t2 dhcp6.Lifetime) (_ []byte, err error) {
	if x.from == x.to && x.status == dhcp6.StatusSuccess {
		return b, nil
	}
	if x.given(r) == 0 {
		t1, t2 = 0, 0
	}
	b, mark := dhcp6.BeginIA(b, x.code, x.id, t1, t2)
	for _, l := range r.leases[x.from:x.to] {
		switch {
		case l.valid == 0 && !r.tells() || !l.prefix.IsValid():
		case x.kind == binding.Address:
			b = dhcp6.AppendIAAddr(b, dhcp6.IAAddr{Address: l.prefix.Addr(), Preferred: l.preferred, Valid: l.valid})
		default:
			b = appendPrefix(b, &l)
		}
	}
	if x.status != dhcp6.StatusSuccess {
		b = dhcp6.AppendStatus(b, dhcp6.Status{Code: x.status, Message: []byte(words(x.status))})
	}
	return dhcp6.EndOption(b, mark)
}

// appendPrefix appends an IAPREFIX option, with the excluded prefix if there is one (RFC 6603
// section 4.2).
func appendPrefix(b []byte, l *lease) []byte {
	v := dhcp6.IAPrefix{Prefix: l.prefix, Preferred: l.preferred, Valid: l.valid}
	if l.exclude.IsValid() {
		var room [4 + 1 + 16]byte
		v.Options, _ = dhcp6.ParseOptions(dhcp6.AppendPDExclude(room[:0], l.prefix, l.exclude))
	}
	return dhcp6.AppendIAPrefix(b, v)
}

// times are T1 and T2, which are the same in all IAs of an answer (RFC 8415 section 18.3.2):
// those of the configuration, else 0.5 and 0.8 times the shortest preferred lifetime (section
// 21.4).
func (r *request) times() (t1, t2 dhcp6.Lifetime) {
	shortest := dhcp6.Infinity
	for i := range r.leases {
		if l := &r.leases[i]; l.valid > 0 && l.subnet != nil {
			shortest = min(shortest, l.preferred)
		}
	}
	t1, t2 = r.subnet.Lifetimes.T1, r.subnet.Lifetimes.T2
	if t1 == 0 {
		if t1 = shortest; shortest != dhcp6.Infinity {
			t1 = shortest / 2
		}
	}
	if t2 == 0 {
		if t2 = shortest; shortest != dhcp6.Infinity {
			t2 = dhcp6.Lifetime(uint64(shortest) * 4 / 5)
		}
	}
	t2 = min(t2, shortest)
	return min(t1, t2), t2 // a client discards an IA with T1 above T2
}

// writeOptions appends the configured options for the client. If an option is configured in several
// places, the first one counts, in this order: reservation, classes, pool, subnet, network, server.
func (s *Server) writeOptions(b []byte, r *request) []byte {
	w := optionWriter{r: r}
	if r.reserved != nil {
		b = w.write(b, r.reserved.Options)
	}
	for i, of := range r.classes {
		if of {
			b = w.write(b, s.cfg.Classes[i].Options)
		}
	}
	b = w.write(b, s.poolOptions(r))
	b = w.write(b, r.subnet.Options)
	b = w.write(b, r.network.Options)
	return w.write(b, s.cfg.Options)
}

// poolOptions are the options of the pool of the answer's first lease.
func (s *Server) poolOptions(r *request) []Option {
	for i := range r.leases {
		if l := &r.leases[i]; l.valid > 0 {
			if pl := s.networks.poolOf(l.prefix); pl != nil {
				return pl.options
			}
		}
	}
	return nil
}

// optionWriter writes each option from one place only: the first place that has it. A place may
// have an option several times. Codes from 256 on that are written are in request.above.
type optionWriter struct {
	r    *request
	done [4]uint64 // one bit for each code below 256 that is written
}

func (w *optionWriter) write(b []byte, options []Option) []byte {
	here := w.done
	above := len(w.r.above)
	for i := range options {
		o := &options[i]
		switch {
		case !o.Always && !w.r.oro.Contains(o.Code):
		case o.Code == dhcp6.OptionInformationRefreshTime && w.r.m.Type() != dhcp6.InformationRequest: // RFC 8415 section 21.23
		case int(o.Code) < 64*len(here):
			if bit := uint64(1) << (o.Code % 64); w.done[o.Code/64]&bit == 0 {
				b = dhcp6.AppendOption(b, o.Code, o.Data)
				here[o.Code/64] |= bit
			}
		case !slices.Contains(w.r.above[:above], o.Code):
			b = dhcp6.AppendOption(b, o.Code, o.Data)
			w.r.above = append(w.r.above, o.Code)
		}
	}
	w.done = here
	return b
}

// words is the text of a status for people.
func words(c dhcp6.StatusCode) string {
	switch c {
	case dhcp6.StatusSuccess:
		return "done"
	case dhcp6.StatusNoAddrsAvail:
		return "no address is available"
	case dhcp6.StatusNoPrefixAvail:
		return "no prefix is available"
	case dhcp6.StatusNoBinding:
		return "this server has no binding for the IA"
	case dhcp6.StatusNotOnLink:
		return "an address is not of this link"
	}
	return ""
}

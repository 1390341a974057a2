package server6

import (
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// request is a client's message, with what the server knows of the client. One request is reused for
// all messages.
type request struct {
	p      *inbound.Packet
	at     *link       // where the message came in
	relay  *trust.Peer // the relay agent that sent the message; nil: the client itself did
	room   [dhcp6.MaxRelayLayers]dhcp6.RelayMessage
	layers []dhcp6.RelayMessage // outermost first

	m     dhcp6.Message
	whole bool       // m has been read
	duid  dhcp6.DUID // empty: the message has none
	oro   dhcp6.ORO

	network   *network
	link, vrf string         // of the client's leases; vrf is empty behind relay agents
	holder    binding.Holder // the client, as the table of bindings finds it
	policy    *delegation.Policy
	client    binding.Client            // what who returns; the zero value: who was not called yet
	source    netip.Addr                // the client's own address
	linkLayer linkaddr.Addr             // invalid: not known
	answered  map[binding.Question]bool // the results of the probes that the message has waited for; nil: it has not waited

	classes  []bool           // by the index in Config.Classes: whether the client is of the class
	reserved *reservation     // nil: nothing is reserved for the client
	subnet   *subnet          // of the reservation, else of the first lease, else the one that the network was found by
	status   dhcp6.StatusCode // of the whole answer
	told     bool             // status is to be in the answer
	rapid    bool             // the answer to a Solicit grants
	accepts  bool             // the client accepts Reconfigures
	ias      []ia
	leases   []lease
	above    []dhcp6.OptionCode // options of the answer that are written and have codes from 256 on
}

// ia is one IA of a message. What the client gets in it is a part of request.leases.
type ia struct {
	code     dhcp6.OptionCode
	kind     binding.Kind
	id       uint32
	options  dhcp6.Options // as the client sent them
	hints    hints
	from, to int // its part of request.leases
	status   dhcp6.StatusCode
	limit    binding.Reason // the limit that one more lease would exceed
	refused  bool           // another host keeps a lease that the IA would take back, so the client gets nothing
	own      place          // valid where placed is set
	placed   bool
}

// lease is one address or prefix in an answer. A valid lifetime of 0 takes it back from the client.
type lease struct {
	prefix           netip.Prefix
	subnet           *subnet
	preferred, valid dhcp6.Lifetime
	exclude          netip.Prefix
	marked           bool     // it is taken in its pool only until the answer is decided (mark)
	by               Basis    // why it is given
	obstacle         Obstacle // why it is taken back
}

func (r *request) reset(p *inbound.Packet, at *link) {
	*r = request{p: p, at: at, classes: r.classes[:0], ias: r.ias[:0], leases: r.leases[:0], above: r.above[:0]}
	r.layers = r.room[:0]
}

// who is the client. The first call allocates memory.
func (r *request) who() binding.Client {
	if r.client == (binding.Client{}) {
		r.client = binding.DUID(r.duid)
	}
	return r.client
}

// key is the client on its link. It is used as who is.
func (r *request) key() ledger.Client { return ledger.Client{Link: r.link, ID: r.who()} }

// read takes the relay layers off a message, and refuses messages that a server must not answer.
func (s *Server) read(now instant.Now, r *request, eff *effect.Effects) (effect.Drop, bool) {
	payload := r.p.Payload
	if len(payload) == 0 {
		return effect.DropEmpty, false
	}
	r.source, r.linkLayer = r.p.Source.Addr().WithZone(""), r.p.LinkLayer
	if t := dhcp6.MessageType(payload[0]); t == dhcp6.RelayForward {
		var why effect.Drop
		var ok bool
		if payload, why, ok = s.unwrap(now, r, eff); !ok {
			return why, false
		}
	} else if t == dhcp6.RelayReply {
		return effect.DropServerMessage, false
	} else if r.at.rule == nil {
		return effect.DropNotClientLink, false
	} else if !r.p.Dest.IsMulticast() {
		return effect.DropUnicast, false // RFC 9915 section 16
	} else if !r.source.IsLinkLocalUnicast() && !r.source.IsGlobalUnicast() {
		return effect.DropBadSource, false
	}
	if dhcp6.MessageType(payload[0]).FromServerOnly() {
		return effect.DropServerMessage, false
	}
	m, err := dhcp6.ParseMessage(payload)
	if err != nil {
		return effect.DropMalformed, false
	}
	r.m, r.whole = m, true
	return s.validate(r)
}

// unwrap takes the relay layers off a message, if it is from a configured relay agent.
func (s *Server) unwrap(now instant.Now, r *request, eff *effect.Effects) ([]byte, effect.Drop, bool) {
	peer, protected := r.p.From(s.peers.Set, trust.Relay, r.at.Name)
	if peer == nil {
		return nil, effect.DropUntrustedRelay, false
	}
	if !protected {
		return nil, effect.DropUnprotected, false
	}
	s.peers.Heard(now, peer, dhcp6.RelayForward, eff)
	r.relay, r.linkLayer = peer, linkaddr.Addr{}
	payload := r.p.Payload
	for dhcp6.MessageType(payload[0]) == dhcp6.RelayForward {
		if len(r.layers) == dhcp6.MaxRelayLayers {
			return nil, effect.DropHopLimit, false
		}
		m, err := dhcp6.ParseRelay(payload)
		if err != nil {
			return nil, effect.DropMalformed, false
		}
		r.layers = append(r.layers, m)
		inner, ok := m.Inner()
		if !ok || len(inner) == 0 {
			return nil, effect.DropNoRelayMessage, false
		}
		payload = inner
	}
	nearest := r.layers[len(r.layers)-1]
	r.source = nearest.PeerAddress()
	if b, ok := nearest.Options().First(dhcp6.OptionClientLinkLayer); ok {
		if v, err := dhcp6.ParseClientLinkLayer(b); err == nil {
			r.linkLayer = linkaddr.From(v.Address)
		}
	}
	if r.answered == nil {
		s.agents.hear(now, r)
	}
	return payload, 0, true
}

// validate refuses messages that servers discard by RFC 8415 section 16, and finds the client's
// network.
func (s *Server) validate(r *request) (effect.Drop, bool) {
	server, named := r.m.ServerID()
	duid, known := r.m.ClientID()
	if known && duid.Valid() != nil {
		return effect.DropInvalid, false
	}
	r.duid = duid
	switch r.m.Type() {
	case dhcp6.Solicit, dhcp6.Confirm, dhcp6.Rebind:
		if !known || named {
			return effect.DropInvalid, false
		}
	case dhcp6.Request, dhcp6.Renew, dhcp6.Release, dhcp6.Decline:
		if !known || !named {
			return effect.DropInvalid, false
		}
	case dhcp6.InformationRequest:
		for c := range r.m.Options().All() {
			if c == dhcp6.OptionIANA || c == dhcp6.OptionIATA || c == dhcp6.OptionIAPD {
				return effect.DropInvalid, false
			}
		}
	case dhcp6.AddrRegInform:
		if _, asks := r.m.Options().First(dhcp6.OptionORO); !known || named || asks {
			return effect.DropInvalid, false
		}
	default:
		return effect.DropUnknownType, false
	}
	if named && string(server) != string(s.cfg.ServerID) {
		return effect.DropOtherServer, false
	}
	if r.relay == nil {
		r.subnet = r.at.subnet
	} else {
		r.subnet = s.networks.ofRelay(r.layers)
	}
	if r.subnet == nil {
		return effect.DropNoSubnet, false
	}
	if b, ok := r.m.Options().First(dhcp6.OptionORO); ok {
		oro, err := dhcp6.ParseORO(b)
		if err != nil {
			return effect.DropMalformed, false
		}
		r.oro = oro
	}
	_, r.accepts = r.m.Options().First(dhcp6.OptionReconfAccept)
	r.accepts = r.accepts && known
	s.know(r)
	return 0, true
}

// know finds what the server knows of the client: its link, its policy, its classes, and what is
// reserved for it.
func (s *Server) know(r *request) {
	r.network = r.subnet.network
	if r.relay != nil {
		r.link, r.vrf, r.policy = r.network.link, "", &s.relayed
	} else {
		r.link, r.vrf, r.policy = r.at.Name, r.at.VRF, &r.at.policy
	}
	r.holder = s.table.HolderBy(r.link, binding.ByDUID, r.duid)
	s.classify(r)
	if r.reserved = r.network.reservationOf(r); r.reserved != nil {
		r.subnet = r.reserved.subnet
	}
}

package config

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// stanza is one entry of peers while it is being read.
type stanza struct {
	peer       trust.Peer
	whole      Value
	at         map[string]Value // where each key stands
	sourcePort uint16           // of the relay, whichever of the two it is; 0: not given
	ike        *hop.IKE
	entry      *ikeEntry // what ike was made of
	manual     *manualEntry
	giaddrs    []giaddr
}

// giaddr is a further address of a DHCPv4 relay, to which a server answers.
type giaddr struct {
	address netip.Addr
	manual  *manualEntry // only with manual keys
	at      Value
}

// keep returns a reader that remembers where the key stands.
func (s *stanza) keep(key string, then func(Value)) func(Value) {
	return func(v Value) {
		s.at[key] = v
		then(v)
	}
}

// decodeStanza reads one peer.
func decodeStanza(v Value) *stanza {
	s := &stanza{whole: v, at: make(map[string]Value)}
	p := &s.peer
	interfaces := Required("interfaces", "a list of the interfaces it is heard on",
		s.keep("interfaces", readEach(&p.Interfaces, "interfaces", interfaceGlob, func(v Value, glob string) {
			v.checkGlob(glob)
			v.mention(mentionPeer, glob)
		})))
	peer := peerAddress
	if v.d.guard {
		interfaces.required = ""
		peer = hostAddress
	}
	fields := []Field{
		Required("name", "a name for logs, metrics and commands", s.keep("name", Read(&p.Name, peerName))),
		Optional("address", s.keep("address", Read(&p.Address, peer))),
		Optional("local", s.keep("local", Read(&p.Local, orWord("auto", netip.Addr{}, hostAddress)))),
		Required("role", "one of: server, relay", s.keep("role", Read(&p.Role, oneOf(
			choice[trust.PeerRole]{"server", trust.Server}, choice[trust.PeerRole]{"relay", trust.Relay})))),
		interfaces,
		Required("protection", "there is no default; none: messages in clear; ipsec: in ESP or not at all",
			s.keep("protection", Read(&p.Protection, protection))),
		Optional("ike", s.keep("ike", s.decodeIKE)).hidden(),
		Optional("manual", s.keep("manual", func(v Value) { s.manual = decodeManual(v) })).hidden(),
		later("tls", noTLS),
		Optional("source-port", s.keep("source-port", func(v Value) { Read(&s.sourcePort, sourcePort(familyOf(p.Address)))(v) })),
	}
	if v.d.guard {
		fields = append(fields, Optional("giaddrs", s.keep("giaddrs", s.decodeGiaddrs)))
	} else {
		fields = append(fields, Optional("delegable", s.keep("delegable", func(v Value) { p.Delegable = decodeRanges(v) })))
		fields = append(fields, Optional("assignments", s.keep("assignments", Read(&p.Assignments, truth))))
		fields = append(fields, Optional("heard-by", s.keep("heard-by", func(Value) {})))
		fields = slices.Insert(fields, 2, Optional("prefix", s.keep("prefix", Read(&p.Prefix, anyPrefix))))
	}
	v.Mapping(fields...)
	s.check()
	return s
}

// noTLS says what a protection is for that this version does not have.
const noTLS = "not available in this version: it will be for leasequery, which runs over TCP"

func protection(text string) (trust.Protection, error) {
	if text == "tls" {
		return 0, errNoTLS
	}
	return oneOf(choice[trust.Protection]{"none", trust.ProtectionNone}, choice[trust.Protection]{"ipsec", trust.ProtectionIPsec})(text)
}

// check checks the keys of a peer against each other, and fills in the values that follow from
// them.
func (s *stanza) check() {
	s.checkAddress()
	s.checkUnneeded()
	if s.peer.Protection == trust.ProtectionIPsec {
		s.checkIPsec()
	}
	s.checkSourcePort()
	s.checkAssignments()
}

// checkUnneeded reports keys that have no use with protection none.
func (s *stanza) checkUnneeded() {
	if s.peer.Protection != trust.ProtectionNone {
		return
	}
	for _, key := range []string{"ike", "manual", "giaddrs", "source-port"} {
		if v, ok := s.at[key]; ok {
			v.Problem("beside protection: none (protection: ipsec, or leave %s out)", key)
		}
	}
	if s.peer.Assignments {
		s.at["assignments"].Problem("beside protection: none, where anybody could say it (protection: ipsec, or assignments: false)")
	}
}

// checkAssignments reports the key for a peer of DHCPv4, which has no Relay Agent Assignment
// Notification option.
func (s *stanza) checkAssignments() {
	if s.peer.Assignments && familyOf(s.peer.Address) == DHCPv4 {
		s.at["assignments"].Problem("of a peer of DHCPv4, which has no such option (leave it out)")
	}
}

// checkSourcePort reports the key if we are the relay ourselves: then the port has a key
// elsewhere.
func (s *stanza) checkSourcePort() {
	v, ok := s.at["source-port"]
	if ok && !v.d.guard && s.peer.Role == trust.Server {
		v.Problem("the port of a relay, beside role: server (relay%d.source-port is ours)", familyOf(s.peer.Address))
	}
}

// checkIPsec checks what IPsec requires of a peer (RFC 8213 section 3).
func (s *stanza) checkIPsec() {
	p := &s.peer
	if p.Address.IsMulticast() {
		s.at["protection"].Problem("ipsec towards %s, which is multicast (address: the peer's own, because ipsec is between two hosts)", p.Address)
	}
	local, given := s.at["local"]
	switch text, _ := local.raw(); {
	case !given:
		s.missing("local", "an address of this host: ipsec is between two addresses that are known")
	case text == "auto":
		local.Problem("auto beside protection: ipsec (an address of this host: ipsec is between two addresses that are known)")
	case !p.Local.IsValid() || !p.Address.IsValid() || p.Address.IsMulticast():
	case p.Local.Is4() != p.Address.Is4(): // this has been reported
	case p.Local == p.Address:
		local.Problem("%s is the peer's address as well (an address of this host)", p.Local)
	case p.Address.IsLinkLocalUnicast() && !p.Local.IsLinkLocalUnicast():
		local.Problem("%s is not link-local, and the peer's address %s is (both, or none)", p.Local, p.Address)
	}
	if v, ok := s.at["prefix"]; ok && p.Prefix.IsValid() && !p.Prefix.IsSingleIP() {
		v.Problem("%s holds more than one address (leave it out: ipsec is between two hosts)", p.Prefix)
	}
	_, ike := s.at["ike"]
	manual, byHand := s.at["manual"]
	switch {
	case ike && byHand:
		manual.Problem("manual keys beside ike (one of the two)")
	case !ike && !byHand:
		s.at["protection"].Problem("ipsec without keys (one of: ike, manual)")
	}
	s.checkGiaddrs()
	s.checkLocalIdentity()
}

// missing reports a key of the peer that is not there.
func (s *stanza) missing(key, want string) {
	s.whole.part(s.whole.node, s.whole.child(key)).Problem("missing (%s)", want)
}

// decodeGiaddrs reads further addresses of a DHCPv4 relay. With IKE these are addresses alone;
// with manual keys, each has keys of its own.
func (s *stanza) decodeGiaddrs(v Value) {
	v.list("addresses, or mappings with address and manual", func(v Value) {
		g := giaddr{at: v}
		if v.isScalar() {
			Read(&g.address, giaddrAddress)(v)
		} else {
			v.Mapping(
				Required("address", "an IPv4 address", Read(&g.address, giaddrAddress)),
				Optional("manual", func(v Value) { g.manual = decodeManual(v) }).hidden(),
			)
		}
		s.giaddrs = append(s.giaddrs, g)
	})
}

// checkGiaddrs checks further addresses: each is one end of a pair of its own.
func (s *stanza) checkGiaddrs() {
	v, ok := s.at["giaddrs"]
	if !ok {
		return
	}
	if s.peer.Address.IsValid() && !s.peer.Address.Is4() {
		v.Problem("of DHCPv4, and the peer's address is %s (leave it out)", s.peer.Address)
		return
	}
	relay, server := s.peer.Address, s.peer.Local
	if s.peer.Role == trust.Server {
		relay, server = server, relay
	}
	seen := make(map[netip.Addr]bool)
	for i := range s.giaddrs {
		g := &s.giaddrs[i]
		_, manual := s.at["manual"]
		switch {
		case !g.address.IsValid():
		case g.address == relay:
			g.at.Problem("%s is in the stanza already (further addresses of the relay)", relay)
		case g.address == server:
			g.at.Problem("%s is the server's address (addresses of the relay)", server)
		case seen[g.address]:
			g.at.Problem("%s is there already (once)", g.address)
		case manual && g.manual == nil:
			g.at.Problem("%s without keys of its own (a mapping with address and manual: manual keys are for one pair of addresses)", g.address)
		case !manual && g.manual != nil:
			g.at.Problem("manual keys beside ike (the address alone)")
		}
		seen[g.address] = true
	}
}

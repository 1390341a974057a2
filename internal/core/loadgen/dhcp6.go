package loadgen

import "fairlead/internal/wire/dhcp6"

// IAs says which identity associations a client of DHCPv6 asks for.
type IAs struct {
	NA, PD bool // addresses, prefixes
}

// dhcpv6 follows RFC 8415 section 18.2.
var dhcpv6 = profile{
	name: "DHCPv6",
	traits: [Kinds]trait{
		Solicit:            {name: "solicit"},
		Request:            {name: "request", speaker: newcomer, named: true, grants: true},
		Renew:              {name: "renew", speaker: holder, named: true},
		Rebind:             {name: "rebind", speaker: holder},
		Release:            {name: "release", speaker: holder, named: true},
		InformationRequest: {name: "information-request"},
		Rapid:              {name: "rapid", grants: true},
		FourWay:            {name: "four-way", offered: true, grants: true},
	},
	newGeneral: newGeneral6, newServer: newServer6, read: read6,
	statusName: func(code int) string { return dhcp6.StatusCode(code).String() },
}

// These are the options that real clients ask for. RFC 8415 section 21.7 requires SOL_MAX_RT in
// every Solicit, and INF_MAX_RT and the refresh time in every Information-request.
var (
	wanted6      = []dhcp6.OptionCode{dhcp6.OptionDNSServers, dhcp6.OptionDomainList, dhcp6.OptionSolMaxRT}
	wantedAlone6 = []dhcp6.OptionCode{dhcp6.OptionDNSServers, dhcp6.OptionDomainList, dhcp6.OptionInformationRefreshTime, dhcp6.OptionInfMaxRT}
)

// newTemplate6 makes a message of type t with the options that RFC 8415 section 18.2 requires in
// it. variant says which IAs have a lease in them.
func newTemplate6(t dhcp6.MessageType, rapid bool, server dhcp6.DUID, ias IAs, variant int) template {
	p := template{above: uint32(t) << 24}
	b := dhcp6.AppendMessageHeader(nil, t, 0)
	b = dhcp6.AppendClientID(b, DUID(0))
	p.index = []int{len(b) - 4}
	if server != nil {
		b = dhcp6.AppendServerID(b, server)
	}
	b = dhcp6.AppendElapsedTime(b, 0)
	switch t {
	case dhcp6.Release: // section 18.2.7 names no Option Request option
	case dhcp6.InformationRequest:
		b = dhcp6.AppendORO(b, wantedAlone6...)
		ias = IAs{}
	default:
		b = dhcp6.AppendORO(b, wanted6...)
	}
	if rapid {
		b = dhcp6.AppendOption(b, dhcp6.OptionRapidCommit, nil)
	}
	withNA, withPD := variant&1 != 0, variant&2 != 0
	if t == dhcp6.Release {
		ias.NA, ias.PD = ias.NA && withNA, ias.PD && withPD
	}
	if ias.NA {
		b = p.appendIA(b, dhcp6.OptionIANA, withNA)
	}
	if ias.PD {
		b = p.appendIA(b, dhcp6.OptionIAPD, withPD)
	}
	p.octets = b
	return p
}

// appendIA appends an IA, with a place for a lease or without. T1, T2 and the lifetimes are 0, as
// RFC 8415 sections 21.4 to 21.22 require it of clients.
func (t *template) appendIA(b []byte, code dhcp6.OptionCode, with bool) []byte {
	b, mark := dhcp6.BeginIA(b, code, IAID, 0, 0)
	switch {
	case with && code == dhcp6.OptionIANA:
		t.address, t.length = len(b)+4, 16
		b = dhcp6.AppendIAAddr(b, dhcp6.IAAddr{})
	case with:
		t.prefix = len(b) + 4 + 8
		b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{})
	}
	b, err := dhcp6.EndOption(b, mark)
	if err != nil {
		panic("loadgen: an IA of some tens of octets: " + err.Error())
	}
	return b
}

func newGeneral6(c *Config) *general {
	g := &general{
		solicit:     newTemplate6(dhcp6.Solicit, false, nil, c.IAs, 0),
		rapid:       newTemplate6(dhcp6.Solicit, true, nil, c.IAs, 0),
		information: newTemplate6(dhcp6.InformationRequest, false, nil, c.IAs, 0),
	}
	for v := range variants {
		g.rebind[v] = newTemplate6(dhcp6.Rebind, false, nil, c.IAs, v)
	}
	return g
}

func newServer6(id []byte, c *Config) *server {
	s := &server{id: id}
	for v := range variants {
		s.request[v] = newTemplate6(dhcp6.Request, false, id, c.IAs, v)
		s.renew[v] = newTemplate6(dhcp6.Renew, false, id, c.IAs, v)
		s.release[v] = newTemplate6(dhcp6.Release, false, id, c.IAs, v)
	}
	return s
}

// read6 finds the first status of a message that is not Success, in itself or in an IA of
// the client, and the leases in those. A message without a server identifier is ignored
// (RFC 8415 sections 16.3 and 16.10).
func read6(message []byte) (answer, bool) {
	m, err := dhcp6.ParseMessage(message)
	if err != nil || m.Type() != dhcp6.Advertise && m.Type() != dhcp6.Reply {
		return answer{}, false
	}
	id, named := m.ServerID()
	if !named || id.Valid() != nil {
		return answer{}, false
	}
	a := answer{xid: m.TransactionID(), offer: m.Type() == dhcp6.Advertise, server: id}
	var worst dhcp6.StatusCode
	for code, payload := range m.Options().All() {
		switch code {
		case dhcp6.OptionStatusCode:
			worst = worse(worst, payload)
		case dhcp6.OptionIANA, dhcp6.OptionIAPD:
			ia, err := dhcp6.ParseIA(payload)
			if err != nil || ia.IAID != IAID {
				continue
			}
			if inner := a.got.lease(ia.Options); worst == dhcp6.StatusSuccess {
				worst = inner
			}
		}
	}
	a.status, a.gone = uint16(worst), worst == dhcp6.StatusNoBinding
	return a, true
}

// lease takes the leases out of one IA, and returns its status.
func (b *binding) lease(options dhcp6.Options) dhcp6.StatusCode {
	var status dhcp6.StatusCode
	for code, payload := range options.All() {
		switch code {
		case dhcp6.OptionStatusCode:
			status = worse(status, payload)
		case dhcp6.OptionIAAddr:
			if a, err := dhcp6.ParseIAAddr(payload); err == nil && a.Valid > 0 {
				b.address, b.na = a.Address.As16(), true
			}
		case dhcp6.OptionIAPrefix:
			if p, err := dhcp6.ParseIAPrefix(payload); err == nil && p.Valid > 0 {
				octets := p.Prefix.Addr().As16()
				b.prefix[0] = byte(p.Prefix.Bits())
				copy(b.prefix[1:], octets[:])
				b.pd = true
			}
		}
	}
	return status
}

// worse returns the status in payload, unless there is one already.
func worse(status dhcp6.StatusCode, payload []byte) dhcp6.StatusCode {
	if status != dhcp6.StatusSuccess {
		return status
	}
	if s, err := dhcp6.ParseStatus(payload); err == nil {
		return s.Code
	}
	return status
}

package loadgen

import (
	"encoding/binary"

	"fairlead/internal/wire/dhcp6"
)

// IAs says which identity associations a client asks for.
type IAs struct {
	NA, PD bool // addresses, prefixes
}

// MaxMessage is the most octets that a client's message has.
const MaxMessage = 400

// binding is what a client holds, or was offered.
type binding struct {
	address [16]byte // IA_NA's, if na
	prefix  [17]byte // IA_PD's: the length, then 16 octets, if pd
	na, pd  bool
}

func (b *binding) empty() bool { return !b.na && !b.pd }

// Which of the IAs have something in them, as an index of templates.
func (b *binding) variant() int {
	v := 0
	if b.na {
		v |= 1
	}
	if b.pd {
		v |= 2
	}
	return v
}

const variants = 4

// template is a message of client 0, and where in it that shows.
type template struct {
	octets  []byte
	index   int // of the client's index, in its identifier
	address int // of the IA Address option's address; 0: there is none
	prefix  int // of the IA Prefix option's prefix-length
}

// stamp appends the message of one client.
func (t *template) stamp(b []byte, client, xid uint32, held *binding) []byte {
	at := len(b)
	b = append(b, t.octets...)
	m := b[at:]
	m[1], m[2], m[3] = byte(xid>>16), byte(xid>>8), byte(xid)
	binary.BigEndian.PutUint32(m[t.index:], client)
	if t.address != 0 {
		copy(m[t.address:], held.address[:])
	}
	if t.prefix != 0 {
		copy(m[t.prefix:], held.prefix[:])
	}
	return b
}

// What real clients ask for. RFC 8415 section 21.7 has SOL_MAX_RT in every
// Solicit, INF_MAX_RT and the refresh time in every Information-request.
var (
	wanted      = []dhcp6.OptionCode{dhcp6.OptionDNSServers, dhcp6.OptionDomainList, dhcp6.OptionSolMaxRT}
	wantedAlone = []dhcp6.OptionCode{dhcp6.OptionDNSServers, dhcp6.OptionDomainList, dhcp6.OptionInformationRefreshTime, dhcp6.OptionInfMaxRT}
)

// newTemplate makes a message of type t with the options that RFC 8415 section
// 18.2 wants in it. Variant says which IAs have a lease in them.
func newTemplate(t dhcp6.MessageType, rapid bool, server dhcp6.DUID, ias IAs, variant int) template {
	var p template
	b := dhcp6.AppendMessageHeader(nil, t, 0)
	b = dhcp6.AppendClientID(b, DUID(0))
	p.index = len(b) - 4
	if server != nil {
		b = dhcp6.AppendServerID(b, server)
	}
	b = dhcp6.AppendElapsedTime(b, 0)
	switch t {
	case dhcp6.Release: // section 18.2.7 names no Option Request option
	case dhcp6.InformationRequest:
		b = dhcp6.AppendORO(b, wantedAlone...)
		ias = IAs{}
	default:
		b = dhcp6.AppendORO(b, wanted...)
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

// appendIA appends an IA with a place for a lease or without. T1, T2 and the
// lifetimes are 0, as RFC 8415 sections 21.4 to 21.22 have it for clients.
func (p *template) appendIA(b []byte, code dhcp6.OptionCode, with bool) []byte {
	b, mark := dhcp6.BeginIA(b, code, IAID, 0, 0)
	switch {
	case with && code == dhcp6.OptionIANA:
		p.address = len(b) + 4
		b = dhcp6.AppendIAAddr(b, dhcp6.IAAddr{})
	case with:
		p.prefix = len(b) + 4 + 8
		b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{})
	}
	b, err := dhcp6.EndOption(b, mark)
	if err != nil {
		panic("loadgen: an IA of some tens of octets: " + err.Error())
	}
	return b
}

// general are the messages that name no server.
type general struct {
	solicit, rapid, information template
	rebind                      [variants]template
}

func newGeneral(ias IAs) *general {
	g := &general{
		solicit:     newTemplate(dhcp6.Solicit, false, nil, ias, 0),
		rapid:       newTemplate(dhcp6.Solicit, true, nil, ias, 0),
		information: newTemplate(dhcp6.InformationRequest, false, nil, ias, 0),
	}
	for v := range variants {
		g.rebind[v] = newTemplate(dhcp6.Rebind, false, nil, ias, v)
	}
	return g
}

// server is a server that was heard, and the messages that name it.
type server struct {
	id                      dhcp6.DUID
	request, renew, release [variants]template
}

func newServer(id dhcp6.DUID, ias IAs) *server {
	s := &server{id: id}
	for v := range variants {
		s.request[v] = newTemplate(dhcp6.Request, false, id, ias, v)
		s.renew[v] = newTemplate(dhcp6.Renew, false, id, ias, v)
		s.release[v] = newTemplate(dhcp6.Release, false, id, ias, v)
	}
	return s
}

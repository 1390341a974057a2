package nft

import (
	"encoding/binary"
	"fmt"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Numbers that golang.org/x/sys does not name.
const (
	metaSecpath = expr.MetaKey(25) // NFT_META_SECPATH
	rtXFRM      = expr.RtKey(4)    // NFT_RT_XFRM
)

// field is how the kernel reads a hop.GuardField into a register.
type field struct {
	load     func(reg uint32) expr.Any
	size     int
	native   bool // compared in the machine's byte order
	datatype nftables.SetDatatype
}

func loadMeta(key expr.MetaKey) func(uint32) expr.Any {
	return func(reg uint32) expr.Any { return &expr.Meta{Key: key, Register: reg} }
}

func loadPayload(base expr.PayloadBase, offset, length uint32) func(uint32) expr.Any {
	return func(reg uint32) expr.Any {
		return &expr.Payload{DestRegister: reg, Base: base, Offset: offset, Len: length}
	}
}

func loadRoute(reg uint32) expr.Any { return &expr.Rt{Key: rtXFRM, Register: reg} }

const (
	network   = expr.PayloadBaseNetworkHeader
	transport = expr.PayloadBaseTransportHeader
	udpHeader = 8

	// Offset at which an ICMP error begins to quote, and the lengths of the headers that it
	// quotes.
	quote   = 8
	header4 = 20
	header6 = 40
)

var fields = map[hop.GuardField]field{
	hop.FieldFamily:     {load: loadMeta(expr.MetaKeyNFPROTO), size: 1},
	hop.FieldEther:      {load: loadMeta(expr.MetaKeyPROTOCOL), size: 2},
	hop.FieldProtocol:   {load: loadMeta(expr.MetaKeyL4PROTO), size: 1},
	hop.FieldSource4:    {load: loadPayload(network, 12, 4), size: 4, datatype: nftables.TypeIPAddr},
	hop.FieldDest4:      {load: loadPayload(network, 16, 4), size: 4, datatype: nftables.TypeIPAddr},
	hop.FieldSource6:    {load: loadPayload(network, 8, 16), size: 16, datatype: nftables.TypeIP6Addr},
	hop.FieldDest6:      {load: loadPayload(network, 24, 16), size: 16, datatype: nftables.TypeIP6Addr},
	hop.FieldSourcePort: {load: loadPayload(transport, 0, 2), size: 2, datatype: nftables.TypeInetService},
	hop.FieldDestPort:   {load: loadPayload(transport, 2, 2), size: 2, datatype: nftables.TypeInetService},
	hop.FieldLinkIn:     {load: loadMeta(expr.MetaKeyIIFNAME), size: nameLen, datatype: nftables.TypeIFName},
	hop.FieldSlaveIn:    {load: loadMeta(metaSDIFName), size: nameLen, datatype: nftables.TypeIFName},
	hop.FieldLinkOut:    {load: loadMeta(expr.MetaKeyOIFNAME), size: nameLen, datatype: nftables.TypeIFName},
	hop.FieldIndexIn:    {load: loadMeta(expr.MetaKeyIIF), size: 4, native: true},
	hop.FieldUser:       {load: loadMeta(expr.MetaKeySKUID), size: 4, native: true},
	hop.FieldESPOut:     {load: loadRoute, size: 1},
	hop.FieldESPIn:      {load: loadMeta(metaSecpath), size: 1},
	hop.FieldFirst:      {load: loadPayload(transport, udpHeader, 1), size: 1},
	hop.FieldGiaddr:     {load: loadPayload(transport, udpHeader+24, 4), size: 4},

	hop.FieldICMPType:        {load: loadPayload(transport, 0, 1), size: 1},
	hop.FieldQuotedProtocol4: {load: loadPayload(transport, quote+9, 1), size: 1},
	hop.FieldQuotedSource4:   {load: loadPayload(transport, quote+header4, 2), size: 2},
	hop.FieldQuotedDest4:     {load: loadPayload(transport, quote+header4+2, 2), size: 2},
	hop.FieldQuotedProtocol6: {load: loadPayload(transport, quote+6, 1), size: 1},
	hop.FieldQuotedSource6:   {load: loadPayload(transport, quote+header6, 2), size: 2},
	hop.FieldQuotedDest6:     {load: loadPayload(transport, quote+header6+2, 2), size: 2},
}

// appendValue appends a value in the form in which the kernel compares it.
func (f field) appendValue(b []byte, v uint32) []byte {
	switch {
	case f.size == 1:
		return append(b, byte(v))
	case f.size == 2:
		return binary.BigEndian.AppendUint16(b, uint16(v))
	case f.native:
		return binary.NativeEndian.AppendUint32(b, v)
	}
	return binary.BigEndian.AppendUint32(b, v)
}

// addGuardChain appends the rules of a chain that is there, in order.
func (x *transaction) addGuardChain(c *hop.GuardChain) {
	for _, r := range c.Rules {
		var bodies [][]byte
		for _, m := range r.Match {
			bodies = append(bodies, x.guardMatch(m)...)
		}
		if r.Counter != "" {
			bodies = append(bodies, x.encode(&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: r.Counter}))
		}
		x.ruleOf(c.Name, append(bodies, x.encode(guardVerdict(r))))
	}
}

func guardVerdict(r hop.GuardRule) *expr.Verdict {
	switch r.Verdict {
	case hop.VerdictAccept:
		return &expr.Verdict{Kind: expr.VerdictAccept}
	case hop.VerdictGoto:
		return &expr.Verdict{Kind: expr.VerdictGoto, Chain: r.Chain}
	}
	return &expr.Verdict{Kind: expr.VerdictDrop}
}

// guardMatch loads the fields one after the other, and compares them.
func (x *transaction) guardMatch(m hop.GuardMatch) (bodies [][]byte) {
	if m.Set == "" {
		return x.comparison(m)
	}
	reg := uint32(regFirst)
	for _, f := range m.Fields {
		bodies = append(bodies, x.encode(fields[f].load(reg)))
		reg += uint32(fields[f].size+3) / 4
	}
	if m.Count {
		return append(bodies, counterOf(m.Set))
	}
	return append(bodies, x.encode(&expr.Lookup{SourceRegister: regSet, SetName: m.Set}))
}

// comparison compares one field with a prefix, a name or a number.
func (x *transaction) comparison(m hop.GuardMatch) [][]byte {
	f := fields[m.Fields[0]]
	load, op := f.load(regFirst), expr.CmpOpEq
	var data []byte
	var masked [][]byte
	switch {
	case m.Prefix.IsValid():
		data = m.Prefix.Addr().AsSlice()
		bits := m.Prefix.Bits()
		if p, ok := load.(*expr.Payload); ok && bits%8 == 0 {
			// Only the octets that the prefix covers.
			data, p.Len = data[:bits/8], uint32(bits/8)
			break
		}
		masked = append(masked, x.encode(&expr.Bitwise{
			SourceRegister: regFirst, DestRegister: regFirst, Len: uint32(len(data)), Mask: ones(len(data), bits), Xor: make([]byte, len(data)),
		}))
	case m.Link != "":
		data = append([]byte(m.Link), make([]byte, nameLen-len(m.Link))...)
	default:
		data = f.appendValue(nil, m.Value)
		if m.Not {
			op = expr.CmpOpNeq
		}
	}
	bodies := append([][]byte{x.encode(load)}, masked...)
	return append(bodies, x.encode(&expr.Cmp{Op: op, Register: regFirst, Data: data}))
}

func (x *transaction) encode(e expr.Any) []byte {
	body, err := expr.Marshal(x.family, e)
	if err != nil && x.err == nil {
		x.err = fmt.Errorf("nft: guard rule: %w", err)
	}
	return body
}

// counterOf is an expression that the library does not have: it counts in the counter to which a
// map leads from the key.
func counterOf(set string) []byte {
	b := bulk.AttrString(nil, unix.NFTA_EXPR_NAME, "objref")
	b, data := bulk.Nest(b, unix.NFTA_EXPR_DATA)
	b = number(b, unix.NFTA_OBJREF_SET_SREG, regSet)
	b = bulk.AttrString(b, unix.NFTA_OBJREF_SET_NAME, set)
	return bulk.EndNest(b, data)
}

// addGuardSet makes a set with its elements.
func (x *transaction) addGuardSet(s *hop.GuardSet, id uint32) {
	x.addSetOf(s.Name, id, datatypes(s), contentsOf(s))
	for i := range s.Elements {
		e := &s.Elements[i]
		x.message(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, func(b []byte) []byte {
			b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_SET, s.Name)
			b, list := bulk.Nest(b, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
			b, elem := bulk.Nest(b, unix.NFTA_LIST_ELEM)
			b, key := bulk.Nest(b, unix.NFTA_SET_ELEM_KEY)
			b = bulk.EndNest(bulk.Attr(b, unix.NFTA_DATA_VALUE, appendGuardKey(nil, s.Key, e)), key)
			if s.Map {
				b = bulk.AttrString(b, unix.NFTA_SET_ELEM_OBJREF, e.Counter)
			}
			return bulk.EndNest(bulk.EndNest(b, elem), list)
		})
	}
}

// appendGuardKey appends the parts of an element's key. In a key with several parts, each part
// fills whole registers.
func appendGuardKey(b []byte, key []hop.GuardField, e *hop.GuardElement) []byte {
	for _, f := range key {
		switch f {
		case hop.FieldLinkIn, hop.FieldLinkOut:
			var name [nameLen]byte
			copy(name[:], e.Link)
			b = append(b, name[:]...)
		case hop.FieldDestPort:
			b = binary.BigEndian.AppendUint16(b, e.Port)
			if len(key) > 1 {
				b = append(b, 0, 0)
			}
		default:
			b = append(b, e.Address.AsSlice()...)
		}
	}
	return b
}

func contentsOf(s *hop.GuardSet) contents {
	if s.Map {
		return counterMap
	}
	return plainSet
}

func datatypes(s *hop.GuardSet) (types []nftables.SetDatatype) {
	for _, f := range s.Key {
		types = append(types, fields[f].datatype)
	}
	return types
}

// shapeOf is the shape of a set.
func shapeOf(s *hop.GuardSet) shape {
	key, flags, _ := keyOf(datatypes(s), contentsOf(s))
	return shape{flags: flags, length: key.Bytes}
}

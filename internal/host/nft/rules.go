package nft

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"
	"fairlead/internal/wire/dhcp4"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	chainPrerouting = "prerouting"
	chainSource     = "source"
	chainHolders    = "holders"
	chainPermitted  = "permitted"
	chainCovered    = "covered"
	chainLongest    = "longest"
	chainStolen     = "stolen"
	chainReturning  = "returning"
	chainStaying    = "staying"
	chainBack       = "back"
	chainSpoofed    = "spoofed"
	chainMisused    = "misused"
	chainNoted      = "noted"
	chainForward    = "forward"
	chainHairpin    = "hairpin"
	chainExempt     = "exempt"
	chainLooping    = "looping"
	chainLoop       = "loop"

	chainSourceIPv4    = "source-ipv4"
	chainHoldersIPv4   = "holders-ipv4"
	chainPermittedIPv4 = "permitted-ipv4"
	chainStolenIPv4    = "stolen-ipv4"
)

// metaSDIFName is NFT_META_SDIFNAME, since Linux 5.6.
const metaSDIFName = expr.MetaKey(34)

// The key of a lookup is in consecutive registers of 4 octets: an interface name takes 4 of them,
// an Ethernet address 2, and an IPv6 address 4.
const (
	regFirst = unix.NFT_REG32_00
	regSet   = unix.NFT_REG_1 // the same register, for a lookup
)

// build makes everything that is missing, and fills the chains again, all in one transaction.
// With drop, or if there is no other way, it first removes the table in the same transaction:
// then replaced is true.
func (t *Table) build(drop bool) (replaced bool, err error) {
	replaced = drop
	if err = t.tryBuild(drop); err != nil && !drop {
		replaced, err = true, t.tryBuild(true)
	}
	if err != nil {
		clear(t.sets)
		return replaced, err
	}
	t.print, err = t.fingerprint()
	return replaced, err
}

func (t *Table) tryBuild(drop bool) error {
	x := t.begin()
	if drop {
		x.addTable() // in case there is none
		x.dropTable()
		clear(t.sets)
	}
	x.addTable()
	for _, n := range counterNames {
		x.addCounter(n)
	}
	for _, id := range gates {
		t.sets[id] = true
	}
	ids := slices.SortedFunc(maps.Keys(t.sets), compareIDs)
	for _, id := range ids {
		x.addSet(id)
	}
	for i, f := range filledSets {
		x.addFilled(i, f)
	}
	x.addChains()
	if t.storeID != "" {
		x.addChain(storePrefix + t.storeID)
	}
	for _, id := range ids {
		x.addLookup(id)
	}
	x.addLongest(ids)
	return t.commit(x)
}

func compareIDs(a, b setID) int {
	return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.length, b.length))
}

// addChains makes all chains and their rules, except the rules that look into a set of one prefix
// length.
func (x *transaction) addChains() {
	x.addBaseChain(chainPrerouting, hookPrerouting, priorityRaw, "")
	x.addBaseChain(chainForward, hookForward, priorityFilter, "")
	for _, n := range []string{
		chainSource, chainCovered, chainLongest, chainHolders, chainPermitted, chainStolen, chainReturning, chainStaying, chainBack, chainSpoofed, chainMisused, chainNoted,
		chainHairpin, chainExempt, chainLooping, chainLoop, layout, chainSourceIPv4, chainHoldersIPv4, chainPermittedIPv4, chainStolenIPv4,
	} {
		x.addChain(n)
	}

	x.rule(chainPrerouting, ipv6(), meta(expr.MetaKeyIIFNAME, 0), lookup(setID{family: hoststate.Checked}), to(expr.VerdictGoto, chainSource))

	x.rule(chainSource, ipv6(), address(source, 0), equals(0, netip.IPv6Unspecified()), verdict(expr.VerdictAccept))
	x.rule(chainSource, ipv6(), address(source, 0), mask(0, 10), equals(0, netip.MustParseAddr("fe80::")), verdict(expr.VerdictAccept))
	x.rule(chainSource, to(expr.VerdictJump, chainCovered))
	// The chain of holders comes first: else a rule that allows a source to others as well would
	// hide that its holder uses it.
	x.rule(chainSource, to(expr.VerdictJump, chainHolders))
	x.rule(chainSource, to(expr.VerdictJump, chainPermitted))
	x.rule(chainSource, to(expr.VerdictJump, chainStolen))
	x.rule(chainSource, to(expr.VerdictGoto, chainReturning))

	// The relay judges what a client sends to a DHCP server or relay agent, and hears a client
	// too whose lease it does not know. Such a message is not forwarded: the client would renew
	// past the relay, or send in another client's name.
	checkedIPv4 := func(in expr.MetaKey) match {
		return append(meta(in, 0), lookup(setID{family: hoststate.CheckedIPv4})...)
	}
	x.rule(chainPrerouting, ipv4(), toDHCPv4(), checkedIPv4(expr.MetaKeyIIFNAME), verdict(expr.VerdictAccept))
	for _, in := range []expr.MetaKey{expr.MetaKeyIIFNAME, metaSDIFName} {
		x.rule(chainForward, ipv4(), toDHCPv4(), checkedIPv4(in), count(counterPast), verdict(expr.VerdictDrop))
	}
	x.rule(chainPrerouting, ipv4(), checkedIPv4(expr.MetaKeyIIFNAME), to(expr.VerdictGoto, chainSourceIPv4))
	// A client without an address sends from 0.0.0.0 (RFC 2131 section 4.1), which is never
	// routed.
	x.rule(chainSourceIPv4, ipv4(), addressIPv4(source, 0), equals(0, mappedUnspecified), verdict(expr.VerdictAccept))
	x.rule(chainSourceIPv4, to(expr.VerdictJump, chainHoldersIPv4))
	x.rule(chainSourceIPv4, to(expr.VerdictJump, chainPermittedIPv4))
	x.rule(chainSourceIPv4, to(expr.VerdictJump, chainStolenIPv4))
	x.rule(chainSourceIPv4, to(expr.VerdictGoto, chainSpoofed))

	// A packet of the Internet that a client sends back has a source that is not the client's. It
	// is in a loop all the same, and without this rule it would be dropped as spoofed before it
	// is seen to go back.
	x.rule(chainReturning, to(expr.VerdictJump, chainStaying))
	x.rule(chainReturning, to(expr.VerdictJump, chainBack))
	x.rule(chainReturning, to(expr.VerdictGoto, chainSpoofed))
	x.rule(chainSpoofed, to(expr.VerdictJump, chainNoted))
	x.rule(chainSpoofed, count(counterSpoofed), verdict(expr.VerdictDrop))
	x.rule(chainMisused, to(expr.VerdictJump, chainNoted))
	x.rule(chainMisused, count(counterStolen), verdict(expr.VerdictDrop))
	x.noteSpoofed()

	for _, in := range []expr.MetaKey{expr.MetaKeyIIFNAME, metaSDIFName} {
		x.rule(chainForward, ipv6(), meta(in, 0), meta(expr.MetaKeyOIFNAME, 4),
			lookup(setID{family: hoststate.Hairpin}), to(expr.VerdictGoto, chainHairpin))
	}
	x.rule(chainHairpin, to(expr.VerdictJump, chainExempt))
	x.rule(chainHairpin, to(expr.VerdictJump, chainLooping))

	// The link is the input interface before routing, and the output interface of a packet that
	// is forwarded, whose input interface may be a VRF. The source may be forged, and then the
	// answer goes to a host that did not send the packet: so the number of answers a second is
	// bounded for each link.
	for _, link := range []expr.MetaKey{expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME} {
		x.rule(chainLoop, ipv6(), meta(link, 0), lookup(setID{family: hoststate.Rejecting}), withinRate(answers, answered()), count(counterRejected),
			match{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: codeRejectRoute}})
	}
	x.rule(chainLoop, count(counterLooped), verdict(expr.VerdictDrop))
}

// answers are the links whose loops were answered lately, each with its rate. A link stays in the
// set until its rate is as if it had never sent.
var answers = filled{name: "answers", fields: []nftables.SetDatatype{nftables.TypeIFName}, size: maxNames, timeout: time.Minute}

// maxNames bounds how many links there are in a set that rules fill.
const maxNames = 65535

// filledSets are all sets that rules fill.
var filledSets = []filled{answers, spoofing, noting, spoofedSources}

// answered bounds how many loops of a link are answered.
func answered() *expr.Limit {
	return &expr.Limit{Type: expr.LimitTypePkts, Rate: 50, Unit: expr.LimitTimeSecond, Burst: 50}
}

// withinRate is true while the link whose name is in the first register has not exceeded its
// rate.
func withinRate(f filled, rate *expr.Limit) match { return touch(f, rate) }

// touch puts the key that begins in the first register into a set, or has its element stay
// longer. The expressions in each then decide for that element whether the rule goes on.
func touch(f filled, each ...expr.Any) match {
	return match{&expr.Dynset{SrcRegKey: regSet, SetName: f.name, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: each}}
}

// codeRejectRoute is ICMPv6 type 1 code 6 (RFC 4443 section 3.1).
const codeRejectRoute = 6

// addLongest fills the chain that judges a source in a prefix that is covered. The longest prefix
// that contains the source decides; of two that are equally long, the one that allows it.
func (x *transaction) addLongest(ids []setID) {
	x.flushChain(chainLongest)
	for _, id := range slices.SortedFunc(slices.Values(ids), func(a, b setID) int {
		return cmp.Or(cmp.Compare(b.length, a.length), cmp.Compare(a.rank(), b.rank()))
	}) {
		switch id.family {
		case hoststate.SourceHolder, hoststate.SourceStrict:
			x.addLookupTo(chainLongest, id, expr.MetaKeyIIFNAME, source, append(remember(id), verdict(expr.VerdictAccept)...))
		case hoststate.SourceLink:
			x.addLookupTo(chainLongest, id, expr.MetaKeyIIFNAME, source, verdict(expr.VerdictAccept))
		case hoststate.SourceCovered:
			x.addLookupTo(chainLongest, id, expr.MetaKeyIIFNAME, source, to(expr.VerdictGoto, chainReturning))
		}
	}
}

// rank is the order in which the sets of one length are asked: the lowest rank comes first.
func (id setID) rank() int {
	switch id.family {
	case hoststate.SourceHolder, hoststate.SourceStrict: // see chainHolders
		return 0
	case hoststate.SourceCovered:
		return 2
	}
	return 1
}

// addLookup appends the rule that looks into one set. For a gate it appends nothing. The rules of
// a chain are alternatives: their order does not matter.
func (x *transaction) addLookup(id setID) {
	if !id.family.HasPrefix() {
		return
	}
	x.addLookupIPv4(id)
	switch id.family {
	case hoststate.SourceHolder, hoststate.SourceStrict:
		x.addLookupTo(chainHolders, id, expr.MetaKeyIIFNAME, source, append(remember(id), verdict(expr.VerdictAccept)...))
	case hoststate.SourceCovered:
		x.addLookupTo(chainCovered, id, expr.MetaKeyIIFNAME, source, to(expr.VerdictGoto, chainLongest))
	case hoststate.SourceKnown:
		x.addLookupTo(chainStolen, id, expr.MetaKeyIIFNAME, source, to(expr.VerdictGoto, chainMisused))
	case hoststate.LoopExempt:
		x.addLookupTo(chainExempt, id, expr.MetaKeyOIFNAME, destination, verdict(expr.VerdictAccept))
		x.addLookupTo(chainStaying, id, expr.MetaKeyIIFNAME, destination, to(expr.VerdictGoto, chainSpoofed))
	case hoststate.LoopPoint, hoststate.LoopShared:
		x.addLookupTo(chainLooping, id, expr.MetaKeyOIFNAME, destination, to(expr.VerdictGoto, chainLoop))
		x.addLookupTo(chainBack, id, expr.MetaKeyIIFNAME, destination, to(expr.VerdictGoto, chainLoop))
	default:
		x.addLookupTo(chainPermitted, id, expr.MetaKeyIIFNAME, source, verdict(expr.VerdictAccept))
	}
}

// addLookupIPv4 appends the rule that looks for IPv4 sources in a set, if the set may have such.
func (x *transaction) addLookupIPv4(id setID) {
	if id.length < ipv4Bits {
		return
	}
	switch id.family {
	case hoststate.SourceHolder, hoststate.SourceStrict:
		x.addLookupOf(familyIPv4, chainHoldersIPv4, id, expr.MetaKeyIIFNAME, source, append(remember(id), verdict(expr.VerdictAccept)...))
	case hoststate.SourceKnown:
		x.addLookupOf(familyIPv4, chainStolenIPv4, id, expr.MetaKeyIIFNAME, source, to(expr.VerdictGoto, chainMisused))
	case hoststate.SourceLink:
		x.addLookupOf(familyIPv4, chainPermittedIPv4, id, expr.MetaKeyIIFNAME, source, verdict(expr.VerdictAccept))
	}
}

// addLookupTo appends a rule for IPv6 packets to a chain. It applies where the set has the link,
// the link-layer source (if the set has such), and the masked address of one side; then end
// decides.
func (x *transaction) addLookupTo(chain string, id setID, link expr.MetaKey, side side, end match) {
	x.addLookupOf(familyIPv6, chain, id, link, side, end)
}

// addLookupOf is addLookupTo for packets of either family.
func (x *transaction) addLookupOf(f family, chain string, id setID, link expr.MetaKey, side side, end match) {
	parts := []match{f.is()}
	at := uint32(4)
	if id.family.HasLinkLayer() {
		parts = append(parts, ethernet())
	}
	parts = append(parts, meta(link, 0))
	if id.family.HasLinkLayer() {
		parts = append(parts, etherSource(at))
		at += 2
	}
	parts = append(parts, f.address(side, at))
	if id.length < 128 {
		parts = append(parts, mask(at, id.length))
	}
	x.rule(chain, append(parts, lookup(id), end)...)
}

// family says how packets of a family are recognised, and how an address of theirs is loaded into
// four registers.
type family struct {
	is      func() match
	address func(s side, reg uint32) match
}

var (
	familyIPv6 = family{ipv6, address}
	familyIPv4 = family{ipv4, addressIPv4}
	families   = []family{familyIPv6, familyIPv4}
)

// match is a part of a rule.
type match []expr.Any

// side is one of the two addresses of a packet.
type side uint8

const (
	source side = iota
	destination
)

func meta(key expr.MetaKey, reg uint32) match {
	return match{&expr.Meta{Key: key, Register: regFirst + reg}}
}

func ipv6() match { return protocol(unix.NFPROTO_IPV6) }

func ipv4() match { return protocol(unix.NFPROTO_IPV4) }

func protocol(p byte) match {
	return match{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: regFirst},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regFirst, Data: []byte{p}},
	}
}

// toDHCPv4 matches datagrams to the port of servers and relay agents.
func toDHCPv4() match {
	return match{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regFirst},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regFirst, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: regFirst, Base: transport, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regFirst, Data: binaryutil.BigEndian.PutUint16(dhcp4.ServerPort)},
	}
}

// ethernet does not match on other kinds of links, which have no such header.
func ethernet() match {
	return match{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: regFirst},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regFirst, Data: binaryutil.NativeEndian.PutUint16(unix.ARPHRD_ETHER)},
	}
}

func etherSource(reg uint32) match {
	return match{&expr.Payload{DestRegister: regFirst + reg, Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6}}
}

func address(s side, reg uint32) match {
	return match{&expr.Payload{DestRegister: regFirst + reg, Base: expr.PayloadBaseNetworkHeader, Offset: [...]uint32{8, 24}[s], Len: 16}}
}

// addressIPv4 loads an IPv4 address in the form of IPv6.
func addressIPv4(s side, reg uint32) match {
	prefix := mappedUnspecified.As16()
	return match{
		&expr.Immediate{Register: regFirst + reg, Data: prefix[:12]},
		&expr.Payload{DestRegister: regFirst + reg + 3, Base: expr.PayloadBaseNetworkHeader, Offset: [...]uint32{12, 16}[s], Len: 4},
	}
}

// mappedUnspecified is 0.0.0.0 in the form of IPv6.
var mappedUnspecified = netip.AddrFrom16(netip.IPv4Unspecified().As16())

func mask(reg uint32, bits int) match {
	return match{&expr.Bitwise{
		SourceRegister: regFirst + reg, DestRegister: regFirst + reg, Len: 16, Mask: ones(16, bits), Xor: make([]byte, 16),
	}}
}

// ones is a mask of this length in octets whose first bits are set.
func ones(length, bits int) []byte {
	b := make([]byte, length)
	for i := range bits {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return b
}

func equals(reg uint32, a netip.Addr) match {
	return match{&expr.Cmp{Op: expr.CmpOpEq, Register: regFirst + reg, Data: a.AsSlice()}}
}

func lookup(id setID) match {
	return match{&expr.Lookup{SourceRegister: regSet, SetName: id.String()}}
}

func count(name string) match {
	return match{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}}
}

func verdict(v expr.VerdictKind) match { return match{&expr.Verdict{Kind: v}} }

func to(v expr.VerdictKind, chain string) match { return match{&expr.Verdict{Kind: v, Chain: chain}} }

// Mend compares chains and rules with what Open made, and makes them again if another program has
// changed them, as Open does for a table that it adopts. It reports whether it had to. Elements
// are compared elsewhere, by hoststate.
func (t *Table) Mend() (mended bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	print, err := t.fingerprint()
	if err != nil || print == t.print {
		return false, err
	}
	return true, t.rebuild()
}

// rebuild makes the table again, and keeps the sets that are left.
func (t *Table) rebuild() error {
	if err := t.findSets(); err != nil {
		return err
	}
	_, err := t.build(false)
	return err
}

// fingerprint is a digest of all rules. Counters are named objects, so it has no numbers that
// change by themselves.
func (t *Table) fingerprint() ([sha256.Size]byte, error) {
	h := sha256.New()
	err := t.list(unix.NFT_MSG_GETRULE, true, h.Reset, func(attrs []byte) {
		bulk.Attrs(attrs, func(kind uint16, v []byte) {
			if kind == unix.NFTA_RULE_CHAIN || kind == unix.NFTA_RULE_EXPRESSIONS {
				h.Write(v)
			}
		})
	})
	return [sha256.Size]byte(h.Sum(nil)), err
}

package nft

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	chainPrerouting = "prerouting"
	chainSource     = "source"
	chainPermitted  = "permitted"
	chainStolen     = "stolen"
	chainForward    = "forward"
	chainTurned     = "turned"
	chainExempt     = "exempt"
	chainLooping    = "looping"
	chainLoop       = "loop"
)

// metaSDIFName is NFT_META_SDIFNAME, since Linux 5.6.
const metaSDIFName = expr.MetaKey(34)

// The key of a lookup stands in consecutive registers of 4 octets, of which an
// interface name takes 4, an Ethernet address 2 and an IPv6 address 4.
const (
	regFirst = unix.NFT_REG32_00
	regSet   = unix.NFT_REG_1 // the same register, for a lookup
)

// build makes whatever is missing and fills the chains anew, together with what
// was queued before, in one transaction.
func (t *Table) build() error {
	t.lib.AddTable(t.table)
	for _, n := range counterNames {
		t.lib.AddObj(&nftables.CounterObj{Table: t.table, Name: n})
	}
	for _, id := range gates {
		t.sets[id] = true
	}
	ids := slices.SortedFunc(maps.Keys(t.sets), compareIDs)
	for _, id := range ids {
		if err := t.addSet(id); err != nil {
			return err
		}
	}
	t.addChains()
	for _, id := range ids {
		t.addLookup(id)
	}
	if err := t.lib.Flush(); err != nil {
		clear(t.sets)
		return fmt.Errorf("nft: table %s: %w", t.table.Name, err)
	}
	var err error
	t.print, err = t.fingerprint()
	return err
}

func compareIDs(a, b setID) int {
	return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.length, b.length))
}

func (t *Table) addSet(id setID) error {
	parts := []nftables.SetDatatype{nftables.TypeIFName}
	switch {
	case id.family == hoststate.Turning:
		parts = append(parts, nftables.TypeIFName)
	case id.family.HasLinkLayer():
		parts = append(parts, nftables.TypeEtherAddr)
	}
	if id.family.HasPrefix() {
		parts = append(parts, nftables.TypeIP6Addr)
	}
	// The byte order matters to nft's listing alone.
	set := &nftables.Set{Table: t.table, Name: id.String(), KeyType: parts[0], KeyByteOrder: binaryutil.NativeEndian}
	if len(parts) > 1 {
		set.KeyByteOrder = nil
		set.KeyType, set.Concatenation = nftables.MustConcatSetType(parts...), true
	}
	if err := t.lib.AddSet(set, nil); err != nil {
		return fmt.Errorf("nft: set %s: %w", id, err)
	}
	return nil
}

// addChains queues all chains and their rules, but for those that look into a
// set of one prefix length.
func (t *Table) addChains() {
	accept := nftables.ChainPolicyAccept
	base := func(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return &nftables.Chain{
			Table: t.table, Name: name, Hooknum: hook, Priority: priority,
			Type: nftables.ChainTypeFilter, Policy: &accept,
		}
	}
	chains := []*nftables.Chain{
		base(chainPrerouting, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw),
		base(chainForward, nftables.ChainHookForward, nftables.ChainPriorityFilter),
	}
	for _, n := range []string{
		chainSource, chainPermitted, chainStolen, chainTurned, chainExempt, chainLooping, chainLoop, layout,
	} {
		chains = append(chains, &nftables.Chain{Table: t.table, Name: n})
	}
	for _, c := range chains {
		t.lib.AddChain(c)
		t.lib.FlushChain(c)
	}

	t.rule(chainPrerouting, ipv6(), meta(expr.MetaKeyIIFNAME, 0), lookup(setID{family: hoststate.Guarded}), to(expr.VerdictGoto, chainSource))

	t.rule(chainSource, ipv6(), address(source, 0), equals(0, netip.IPv6Unspecified()), verdict(expr.VerdictAccept))
	t.rule(chainSource, ipv6(), address(source, 0), mask(0, 10), equals(0, netip.MustParseAddr("fe80::")), verdict(expr.VerdictAccept))
	t.rule(chainSource, to(expr.VerdictJump, chainPermitted))
	t.rule(chainSource, to(expr.VerdictJump, chainStolen))
	t.rule(chainSource, count(counterSpoofed), verdict(expr.VerdictDrop))

	for _, in := range []expr.MetaKey{expr.MetaKeyIIFNAME, metaSDIFName} {
		t.rule(chainForward, ipv6(), meta(in, 0), meta(expr.MetaKeyOIFNAME, 4),
			lookup(setID{family: hoststate.Turning}), to(expr.VerdictGoto, chainTurned))
	}
	t.rule(chainTurned, to(expr.VerdictJump, chainExempt))
	t.rule(chainTurned, to(expr.VerdictJump, chainLooping))

	t.rule(chainLoop, ipv6(), meta(expr.MetaKeyOIFNAME, 0), lookup(setID{family: hoststate.Rejecting}), count(counterRejected),
		match{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: codeRejectRoute}})
	t.rule(chainLoop, count(counterLooped), verdict(expr.VerdictDrop))
}

// codeRejectRoute is ICMPv6 type 1 code 6 (RFC 4443 section 3.1).
const codeRejectRoute = 6

// addLookup queues the rule that looks into one set, or nothing for a gate. In a
// chain these rules are alternatives: their order does not matter.
func (t *Table) addLookup(id setID) {
	if !id.family.HasPrefix() {
		return
	}
	chain, name, end, side := chainPermitted, expr.MetaKeyIIFNAME, verdict(expr.VerdictAccept), source
	switch id.family {
	case hoststate.SourceKnown:
		chain, end = chainStolen, append(count(counterStolen), verdict(expr.VerdictDrop)...)
	case hoststate.LoopExempt:
		chain, name, side = chainExempt, expr.MetaKeyOIFNAME, destination
	case hoststate.LoopPoint, hoststate.LoopShared:
		chain, name, end, side = chainLooping, expr.MetaKeyOIFNAME, to(expr.VerdictGoto, chainLoop), destination
	}
	parts := []match{ipv6()}
	at := uint32(4)
	if id.family.HasLinkLayer() {
		parts = append(parts, ethernet())
	}
	parts = append(parts, meta(name, 0))
	if id.family.HasLinkLayer() {
		parts = append(parts, etherSource(at))
		at += 2
	}
	parts = append(parts, address(side, at))
	if id.length < 128 {
		parts = append(parts, mask(at, id.length))
	}
	t.rule(chain, append(parts, lookup(id), end)...)
}

// match is a part of a rule.
type match []expr.Any

func (t *Table) rule(chain string, parts ...match) {
	t.lib.AddRule(&nftables.Rule{
		Table: t.table, Chain: &nftables.Chain{Table: t.table, Name: chain}, Exprs: slices.Concat(parts...),
	})
}

// side is the offset of an address in the IPv6 header.
type side uint32

const (
	source      side = 8
	destination side = 24
)

func meta(key expr.MetaKey, reg uint32) match {
	return match{&expr.Meta{Key: key, Register: regFirst + reg}}
}

func ipv6() match {
	return match{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: regFirst},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regFirst, Data: []byte{unix.NFPROTO_IPV6}},
	}
}

// ethernet keeps other kinds of links out, which have no such header.
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
	return match{&expr.Payload{DestRegister: regFirst + reg, Base: expr.PayloadBaseNetworkHeader, Offset: uint32(s), Len: 16}}
}

func mask(reg uint32, bits int) match {
	ones := make([]byte, 16)
	for i := range bits {
		ones[i/8] |= 0x80 >> (i % 8)
	}
	return match{&expr.Bitwise{
		SourceRegister: regFirst + reg, DestRegister: regFirst + reg, Len: 16, Mask: ones, Xor: make([]byte, 16),
	}}
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

// Mend compares chains and rules with what Open made, and makes them again if
// anybody changed them, as Open does for a table that it adopts. It reports
// whether it had to. Elements are the business of hoststate's audit.
func (t *Table) Mend() (mended bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	print, err := t.fingerprint()
	if err != nil || print == t.print {
		return false, err
	}
	return true, t.rebuild()
}

// rebuild makes the table again around the sets that are left.
func (t *Table) rebuild() error {
	if err := t.findSets(); err != nil {
		return err
	}
	return t.build()
}

// fingerprint is a digest of all rules. Counters are named objects, so no
// running number is in it.
func (t *Table) fingerprint() ([sha256.Size]byte, error) {
	h := sha256.New()
	b := request(nil, unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP)
	b = bulk.AttrString(b, unix.NFTA_RULE_TABLE, t.table.Name)
	err := t.bulk.Dump(bulk.End(b, 0), h.Reset, func(_ uint16, body []byte) {
		if len(body) < sizeofNfgenmsg {
			return
		}
		bulk.Attrs(body[sizeofNfgenmsg:], func(kind uint16, v []byte) {
			if kind == unix.NFTA_RULE_CHAIN || kind == unix.NFTA_RULE_EXPRESSIONS {
				h.Write(v)
			}
		})
	})
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("nft: rules: %w", err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

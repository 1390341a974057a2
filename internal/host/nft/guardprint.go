package nft

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// print is a digest of a guard table: the flags of the table, chains with their hooks, rules,
// sets and their elements. It leaves out handles, uses and counts. The numbers are how many of
// each there are.
type print struct {
	digest                        [sha256.Size]byte
	chains, rules, sets, elements int
}

// matches reports whether there are as many of each as there should be.
func (p *print) matches(t *hop.GuardTable) bool {
	rules, elements := 0, 0
	for _, c := range t.Chains {
		rules += len(c.Rules)
	}
	for i := range t.Sets {
		elements += len(t.Sets[i].Elements)
	}
	return p.chains == len(t.Chains) && p.rules == rules && p.sets == len(t.Sets) && p.elements == elements
}

// chainFlags is NFTA_CHAIN_FLAGS, which golang.org/x/sys does not name.
const chainFlags = 10

// The attributes of each kind of object that go into the digest.
var (
	ofTables = []uint16{unix.NFTA_TABLE_NAME, unix.NFTA_TABLE_FLAGS}
	ofChains = []uint16{unix.NFTA_CHAIN_NAME, unix.NFTA_CHAIN_HOOK, unix.NFTA_CHAIN_POLICY, unix.NFTA_CHAIN_TYPE, chainFlags}
	ofRules  = []uint16{unix.NFTA_RULE_CHAIN, unix.NFTA_RULE_EXPRESSIONS}
	ofSets   = []uint16{unix.NFTA_SET_NAME, unix.NFTA_SET_FLAGS, unix.NFTA_SET_KEY_TYPE, unix.NFTA_SET_KEY_LEN, unix.NFTA_SET_OBJ_TYPE, unix.NFTA_SET_TIMEOUT}
	ofElems  = []uint16{unix.NFTA_SET_ELEM_KEY, unix.NFTA_SET_ELEM_OBJREF, unix.NFTA_SET_ELEM_FLAGS, unix.NFTA_SET_ELEM_TIMEOUT}
)

// look makes the print of the present table.
func (k *guardTable) look(t *hop.GuardTable) (p print, err error) {
	var all []byte
	take := func(kind uint16, attributes []uint16) (n int) {
		var found [][]byte
		if err == nil {
			found, err = k.objects(kind, attributes)
		}
		if kind == unix.NFT_MSG_GETSET || kind == unix.NFT_MSG_GETTABLE {
			slices.SortFunc(found, bytes.Compare)
		}
		for _, f := range found {
			all = append(all, f...)
		}
		return len(found)
	}
	take(unix.NFT_MSG_GETTABLE, ofTables)
	p.chains = take(unix.NFT_MSG_GETCHAIN, ofChains)
	p.rules = take(unix.NFT_MSG_GETRULE, ofRules)
	p.sets = take(unix.NFT_MSG_GETSET, ofSets)
	for i := range t.Sets {
		var found [][]byte
		if err == nil {
			found, err = k.elements(t.Sets[i].Name)
		}
		p.elements += len(found)
		for _, f := range found {
			all = append(all, f...)
		}
	}
	p.digest = sha256.Sum256(all)
	return p, err
}

// objects lists the chosen attributes of the table's objects of a kind, in the order of the
// kernel.
func (k *guardTable) objects(kind uint16, attributes []uint16) (found [][]byte, err error) {
	err = k.list(kind, kind != unix.NFT_MSG_GETTABLE, func() { found = nil }, func(attrs []byte) {
		ours := false
		bulk.Attrs(attrs, func(kind uint16, v []byte) { ours = ours || kind == unix.NFTA_TABLE_NAME && text(v) == k.name })
		if ours {
			found = append(found, chosen(attrs, attributes))
		}
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // there is no table
	}
	return found, err
}

// elements lists the elements of a set, sorted, because their order in the kernel means nothing.
// A set that is not there has none.
func (k *guardTable) elements(set string) (found [][]byte, err error) {
	b := request(nil, k.family, unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP)
	b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_TABLE, k.name)
	b = bulk.End(bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_SET, set), 0)
	err = k.bulk.Dump(b, bulk.Tries, func() { found = nil }, func(_ uint16, body []byte) {
		eachElement(body, func(elem []byte) { found = append(found, chosen(elem, ofElems)) })
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	slices.SortFunc(found, bytes.Compare)
	// While the kernel enlarges its hash table, it may list an element twice.
	return slices.CompactFunc(found, bytes.Equal), err
}

// chosen are the attributes of these kinds, in this order.
func chosen(attrs []byte, kinds []uint16) []byte {
	type attribute struct {
		kind  uint16
		value []byte
	}
	var list []attribute
	bulk.Attrs(attrs, func(kind uint16, v []byte) {
		if slices.Contains(kinds, kind) {
			list = append(list, attribute{kind, v})
		}
	})
	slices.SortStableFunc(list, func(a, b attribute) int { return cmp.Compare(a.kind, b.kind) })
	var out []byte
	for _, a := range list {
		out = bulk.Attr(out, a.kind, a.value)
	}
	return binary.BigEndian.AppendUint32(out, uint32(len(out)))
}

func bigEndian32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

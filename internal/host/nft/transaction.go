package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const sizeofNfgenmsg = 4

// Numbers that golang.org/x/sys does not name.
const (
	setConcat        = 0x80 // NFT_SET_CONCAT
	setDescConcat    = 2    // NFTA_SET_DESC_CONCAT
	setFieldLen      = 1    // NFTA_SET_FIELD_LEN
	udataKeyOrder    = 0    // NFTNL_UDATA_SET_KEYBYTEORDER
	orderOfMachine   = 1    // BYTEORDER_HOST_ENDIAN
	chainTypeFilter  = "filter"
	policyAccept     = 1 // NF_ACCEPT
	priorityRaw      = -300
	priorityFilter   = 0
	hookPrerouting   = 0 // NF_INET_PRE_ROUTING
	hookForward      = 2 // NF_INET_FORWARD
	familyOfTheTable = unix.NFPROTO_INET
)

// transaction gathers changes that take effect together, or not at all.
type transaction struct {
	table string
	b     []byte
	err   error // of the first change that could not be written
}

// begin begins a transaction in the buffer b.
func begin(b []byte, table string) *transaction {
	return &transaction{table: table, b: control(b[:0], unix.NFNL_MSG_BATCH_BEGIN)}
}

// control appends the beginning or the end of a transaction.
func control(b []byte, kind uint16) []byte {
	b, start := bulk.Begin(b, kind, 0, unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	return bulk.End(b, start)
}

// request begins a message to nftables about our family.
func request(b []byte, kind, flags uint16) []byte {
	b, _ = bulk.Begin(b, unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, familyOfTheTable, 0, 0, 0)
	return b
}

// message appends one message; the first attribute of all kinds is the name of
// the table.
func (x *transaction) message(kind, flags uint16, attrs func(b []byte) []byte) {
	start := len(x.b)
	x.b = bulk.AttrString(request(x.b, kind, flags), unix.NFTA_TABLE_NAME, x.table)
	x.b = bulk.End(attrs(x.b), start)
}

func (x *transaction) dropTable() {
	x.message(unix.NFT_MSG_DELTABLE, 0, func(b []byte) []byte { return b })
}

func (x *transaction) addTable() {
	x.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, func(b []byte) []byte { return b })
}

func (x *transaction) addCounter(name string) {
	x.message(unix.NFT_MSG_NEWOBJ, unix.NLM_F_CREATE, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_OBJ_NAME, name)
		b = number(b, unix.NFTA_OBJ_TYPE, unix.NFT_OBJECT_COUNTER)
		b, data := bulk.Nest(b, unix.NFTA_OBJ_DATA)
		return bulk.EndNest(b, data)
	})
}

// addSet makes a hash set. What it says of the key beyond its length serves nft,
// which could not list the elements otherwise.
func (x *transaction) addSet(id setID) {
	fields := []nftables.SetDatatype{nftables.TypeIFName}
	switch {
	case id.family == hoststate.Turning:
		fields = append(fields, nftables.TypeIFName)
	case id.family.HasLinkLayer():
		fields = append(fields, nftables.TypeEtherAddr)
	}
	if id.family.HasPrefix() {
		fields = append(fields, nftables.TypeIP6Addr)
	}
	key, err := nftables.ConcatSetType(fields...)
	if err != nil {
		x.err = errors.Join(x.err, fmt.Errorf("nft: set %s: %w", id, err))
		return
	}
	flags := uint32(0)
	if len(fields) > 1 {
		flags = setConcat
	}
	x.message(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_SET_NAME, id.String())
		b = number(b, unix.NFTA_SET_FLAGS, flags)
		b = number(b, unix.NFTA_SET_KEY_TYPE, key.GetNFTMagic())
		b = number(b, unix.NFTA_SET_KEY_LEN, key.Bytes)
		b = number(b, unix.NFTA_SET_ID, uint32(id.family)<<8|uint32(id.length))
		if len(fields) == 1 {
			order := binary.NativeEndian.AppendUint32([]byte{udataKeyOrder, 4}, orderOfMachine)
			return bulk.Attr(b, unix.NFTA_SET_USERDATA, order)
		}
		b, desc := bulk.Nest(b, unix.NFTA_SET_DESC)
		b, concat := bulk.Nest(b, setDescConcat)
		for _, f := range fields {
			var field int
			b, field = bulk.Nest(b, unix.NFTA_LIST_ELEM)
			b = bulk.EndNest(number(b, setFieldLen, f.Bytes), field)
		}
		return bulk.EndNest(bulk.EndNest(b, concat), desc)
	})
}

// addChain makes a chain that others jump to, empty if it is there already.
func (x *transaction) addChain(name string) {
	x.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, func(b []byte) []byte {
		return bulk.AttrString(b, unix.NFTA_CHAIN_NAME, name)
	})
	x.flushChain(name)
}

// addBaseChain makes a chain that the kernel calls, empty if it is there
// already.
func (x *transaction) addBaseChain(name string, hook uint32, priority int32) {
	x.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_CHAIN_NAME, name)
		b, nest := bulk.Nest(b, unix.NFTA_CHAIN_HOOK)
		b = number(number(b, unix.NFTA_HOOK_HOOKNUM, hook), unix.NFTA_HOOK_PRIORITY, uint32(priority))
		b = number(bulk.EndNest(b, nest), unix.NFTA_CHAIN_POLICY, policyAccept)
		return bulk.AttrString(b, unix.NFTA_CHAIN_TYPE, chainTypeFilter)
	})
	x.flushChain(name)
}

func (x *transaction) flushChain(name string) {
	x.message(unix.NFT_MSG_DELRULE, 0, func(b []byte) []byte { return bulk.AttrString(b, unix.NFTA_RULE_CHAIN, name) })
}

// rule appends a rule to a chain.
func (x *transaction) rule(chain string, parts ...match) {
	x.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_RULE_CHAIN, chain)
		b, list := bulk.Nest(b, unix.NFTA_RULE_EXPRESSIONS)
		for _, p := range parts {
			for _, e := range p {
				body, err := expr.Marshal(familyOfTheTable, e)
				if err != nil {
					x.err = errors.Join(x.err, fmt.Errorf("nft: rule in %s: %w", chain, err))
				}
				b = bulk.Attr(b, unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, body)
			}
		}
		return bulk.EndNest(b, list)
	})
}

// element adds or removes an element. The last of a transaction asks for an
// answer, so that silence is told from success.
func (x *transaction) element(e hoststate.Element, remove, last bool) {
	kind, flags := uint16(unix.NFT_MSG_NEWSETELEM), uint16(unix.NLM_F_CREATE)
	if remove {
		kind, flags = unix.NFT_MSG_DELSETELEM, 0
	}
	if last {
		flags |= unix.NLM_F_ACK
	}
	x.message(kind, flags, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_SET, idOf(e).String())
		b, list := bulk.Nest(b, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
		b, elem := bulk.Nest(b, unix.NFTA_LIST_ELEM)
		b, key := bulk.Nest(b, unix.NFTA_SET_ELEM_KEY)
		var k [2*nameLen + etherLen + addrLen]byte
		b = bulk.Attr(b, unix.NFTA_DATA_VALUE, appendKey(k[:0], e))
		return bulk.EndNest(bulk.EndNest(bulk.EndNest(b, key), elem), list)
	})
}

// number appends a number in network order, as nftables has it.
func number(b []byte, kind uint16, v uint32) []byte {
	return bulk.Attr(b, kind, binary.BigEndian.AppendUint32(nil, v))
}

// send carries out a transaction. The answers are those to the beginning, to
// each message, and to the end; without any of them an error, all of it took
// effect, else nothing did.
func (t *Table) send(x *transaction) (answers []error, err error) {
	if x.err != nil {
		return nil, x.err
	}
	x.b = control(x.b, unix.NFNL_MSG_BATCH_END)
	t.buf = x.b
	if t.answers, err = t.bulk.Exchange(x.b, t.answers); err != nil {
		return nil, fmt.Errorf("nft: %w", err)
	}
	// The frame is answered only when all of it fails.
	if err := t.answers[0]; err != nil && !errors.Is(err, bulk.ErrNoAnswer) {
		return nil, fmt.Errorf("nft: %w", err)
	}
	return t.answers, nil
}

// commit carries out a transaction of which nothing may fail.
func (t *Table) commit(x *transaction) error {
	answers, err := t.send(x)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a != nil {
			return fmt.Errorf("nft: table %s: %w", t.name, a)
		}
	}
	return nil
}

// list calls found with the attributes of everything of one kind. table limits it
// to what is in our table.
func (t *Table) list(kind uint16, table bool, restart func(), found func(attrs []byte)) error {
	b := request(nil, kind, unix.NLM_F_DUMP)
	if table {
		b = bulk.AttrString(b, unix.NFTA_TABLE_NAME, t.name)
	}
	err := t.bulk.Dump(bulk.End(b, 0), bulk.Tries, restart, func(_ uint16, body []byte) {
		if len(body) >= sizeofNfgenmsg {
			found(body[sizeofNfgenmsg:])
		}
	})
	if err != nil {
		return fmt.Errorf("nft: %w", err)
	}
	return nil
}

// names lists the names, which are in attribute name, of what of one kind is in
// our table.
func (t *Table) names(kind, name uint16) ([]string, error) {
	var names []string
	err := t.list(kind, kind != unix.NFT_MSG_GETTABLE, func() { names = nil }, func(attrs []byte) {
		ours, n := kind == unix.NFT_MSG_GETTABLE, ""
		bulk.Attrs(attrs, func(k uint16, v []byte) {
			switch k {
			case name:
				n = text(v)
			case unix.NFTA_TABLE_NAME:
				ours = text(v) == t.name
			}
		})
		if ours {
			names = append(names, n)
		}
	})
	return names, err
}

func text(v []byte) string { return string(bytes.TrimRight(v, "\x00")) }

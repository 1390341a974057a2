package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const sizeofNfgenmsg = 4

// Numbers that golang.org/x/sys does not name.
const (
	setConcat       = 0x80 // NFT_SET_CONCAT
	setDescConcat   = 2    // NFTA_SET_DESC_CONCAT
	setFieldLen     = 1    // NFTA_SET_FIELD_LEN
	udataKeyOrder   = 0    // NFTNL_UDATA_SET_KEYBYTEORDER
	orderOfMachine  = 1    // BYTEORDER_HOST_ENDIAN
	orderOfNetwork  = 2    // BYTEORDER_BIG_ENDIAN
	chainTypeFilter = "filter"
	policyAccept    = 1 // NF_ACCEPT
	priorityRaw     = -300
	priorityFilter  = 0
	hookPrerouting  = 0 // NF_INET_PRE_ROUTING
	hookInput       = 1 // NF_INET_LOCAL_IN
	hookForward     = 2 // NF_INET_FORWARD
	hookOutput      = 3 // NF_INET_LOCAL_OUT
	hookPostrouting = 4 // NF_INET_POST_ROUTING
	hookEgress      = 1 // NF_NETDEV_EGRESS
)

// transaction collects changes that take effect together, or not at all.
type transaction struct {
	family byte
	table  string
	b      []byte
	err    error // why the first change could not be written
}

// begin begins a transaction in the buffer b.
func begin(b []byte, family byte, table string) *transaction {
	return &transaction{family: family, table: table, b: control(b[:0], unix.NFNL_MSG_BATCH_BEGIN)}
}

// control appends the beginning or the end of a transaction.
func control(b []byte, kind uint16) []byte {
	b, start := bulk.Begin(b, kind, 0, unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	return bulk.End(b, start)
}

// request begins a message to nftables about a family of tables.
func request(b []byte, family byte, kind, flags uint16) []byte {
	b, _ = bulk.Begin(b, unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, family, 0, 0, 0)
	return b
}

// message appends one message. In all kinds, the first attribute is the name of the table.
func (x *transaction) message(kind, flags uint16, attrs func(b []byte) []byte) {
	start := len(x.b)
	x.b = bulk.AttrString(request(x.b, x.family, kind, flags), unix.NFTA_TABLE_NAME, x.table)
	x.b = bulk.End(attrs(x.b), start)
}

func (x *transaction) dropTable() {
	x.message(unix.NFT_MSG_DELTABLE, 0, func(b []byte) []byte { return b })
}

func (x *transaction) addTable() {
	x.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, func(b []byte) []byte { return b })
}

func (x *transaction) addCounter(name string) { x.addCounterAt(name, Counter{}) }

// addCounterAt makes a counter that begins with c. A counter that is there stays as it is.
func (x *transaction) addCounterAt(name string, c Counter) {
	x.message(unix.NFT_MSG_NEWOBJ, unix.NLM_F_CREATE, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_OBJ_NAME, name)
		b = number(b, unix.NFTA_OBJ_TYPE, unix.NFT_OBJECT_COUNTER)
		b, data := bulk.Nest(b, unix.NFTA_OBJ_DATA)
		if c != (Counter{}) {
			b = bulk.Attr(b, unix.NFTA_COUNTER_BYTES, binary.BigEndian.AppendUint64(nil, c.Bytes))
			b = bulk.Attr(b, unix.NFTA_COUNTER_PACKETS, binary.BigEndian.AppendUint64(nil, c.Packets))
		}
		return bulk.EndNest(b, data)
	})
}

// addSet makes the set of an id. nft needs the description of the key's fields to list the
// elements.
func (x *transaction) addSet(id setID) {
	fields := []nftables.SetDatatype{nftables.TypeIFName}
	switch {
	case id.family == hoststate.Hairpin:
		fields = append(fields, nftables.TypeIFName)
	case id.family.HasLinkLayer():
		fields = append(fields, nftables.TypeEtherAddr)
	}
	if id.family.HasPrefix() {
		fields = append(fields, nftables.TypeIP6Addr)
	}
	what := plainSet
	if id.family.IsTimed() {
		what = timedSet
	}
	x.addSetOf(id.String(), uint32(id.family)<<8|uint32(id.length), fields, what)
}

// contents says what the elements of a set have besides their keys.
type contents uint8

const (
	plainSet   contents = iota
	timedSet            // see lastUsed
	counterMap          // the name of a counter
)

// addSetOf makes a hash set. id is a number that no other set of the transaction has.
func (x *transaction) addSetOf(name string, id uint32, fields []nftables.SetDatatype, what contents) {
	key, flags, err := keyOf(fields, what)
	if err != nil {
		x.err = errors.Join(x.err, fmt.Errorf("nft: set %s: %w", name, err))
		return
	}
	x.message(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_SET_NAME, name)
		b = number(b, unix.NFTA_SET_FLAGS, flags)
		b = number(b, unix.NFTA_SET_KEY_TYPE, key.GetNFTMagic())
		b = number(b, unix.NFTA_SET_KEY_LEN, key.Bytes)
		b = number(b, unix.NFTA_SET_ID, id)
		switch what {
		case counterMap:
			b = number(b, unix.NFTA_SET_OBJ_TYPE, unix.NFT_OBJECT_COUNTER)
		case timedSet:
			b = number(b, unix.NFTA_SET_GC_INTERVAL, uint32(neverUsed.Milliseconds()))
		}
		if len(fields) == 1 {
			return bulk.Attr(b, unix.NFTA_SET_USERDATA, keyOrder(fields[0]))
		}
		b, desc := bulk.Nest(b, unix.NFTA_SET_DESC)
		if what == timedSet {
			b = number(b, unix.NFTA_SET_DESC_SIZE, timedSize)
		}
		return bulk.EndNest(describe(b, fields), desc)
	})
}

// filled is a set that rules fill. The number of its elements is bounded; further ones are left
// out.
type filled struct {
	name    string
	fields  []nftables.SetDatatype
	size    uint32
	timeout time.Duration // of an element, since it was last touched; 0: it stays
}

// filledID plus the index among filledSets is a number that no setID has in a transaction.
const filledID = 1 << 24

func (x *transaction) addFilled(place int, f filled) {
	key, flags, err := keyOf(f.fields, plainSet)
	if err != nil {
		x.err = errors.Join(x.err, fmt.Errorf("nft: set %s: %w", f.name, err))
		return
	}
	if flags |= unix.NFT_SET_EVAL; f.timeout > 0 {
		flags |= unix.NFT_SET_TIMEOUT
	}
	x.message(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_SET_NAME, f.name)
		b = number(b, unix.NFTA_SET_FLAGS, flags)
		b = number(b, unix.NFTA_SET_KEY_TYPE, key.GetNFTMagic())
		b = number(b, unix.NFTA_SET_KEY_LEN, key.Bytes)
		b = number(b, unix.NFTA_SET_ID, filledID+uint32(place))
		if f.timeout > 0 {
			b = bulk.Attr(b, unix.NFTA_SET_TIMEOUT, binary.BigEndian.AppendUint64(nil, uint64(f.timeout.Milliseconds())))
		}
		if len(f.fields) == 1 {
			b = bulk.Attr(b, unix.NFTA_SET_USERDATA, keyOrder(f.fields[0]))
		}
		b, desc := bulk.Nest(b, unix.NFTA_SET_DESC)
		b = number(b, unix.NFTA_SET_DESC_SIZE, f.size)
		return bulk.EndNest(describe(b, f.fields), desc)
	})
}

// describe tells nft where each field ends in a key that has several.
func describe(b []byte, fields []nftables.SetDatatype) []byte {
	if len(fields) == 1 {
		return b
	}
	b, concat := bulk.Nest(b, setDescConcat)
	for _, f := range fields {
		var field int
		b, field = bulk.Nest(b, unix.NFTA_LIST_ELEM)
		b = bulk.EndNest(number(b, setFieldLen, f.Bytes), field)
	}
	return bulk.EndNest(b, concat)
}

// keyOf is the type of a key, and the flags of its set.
func keyOf(fields []nftables.SetDatatype, what contents) (key nftables.SetDatatype, flags uint32, err error) {
	if len(fields) == 1 {
		key = fields[0] // its length is not rounded up to whole registers
	} else {
		flags = setConcat
		key, err = nftables.ConcatSetType(fields...)
	}
	switch what {
	case counterMap:
		flags |= unix.NFT_SET_OBJECT
	case timedSet:
		flags |= unix.NFT_SET_EVAL | unix.NFT_SET_TIMEOUT
	}
	return key, flags, err
}

// keyOrder tells nft in which order of octets the key is written.
func keyOrder(f nftables.SetDatatype) []byte {
	order := uint32(orderOfNetwork)
	if f == nftables.TypeIFName {
		order = orderOfMachine
	}
	return binary.NativeEndian.AppendUint32([]byte{udataKeyOrder, 4}, order)
}

// addChain makes a chain that other chains jump to. A chain that is there is emptied.
func (x *transaction) addChain(name string) {
	x.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, func(b []byte) []byte {
		return bulk.AttrString(b, unix.NFTA_CHAIN_NAME, name)
	})
	x.flushChain(name)
}

// addBaseChain makes a chain that the kernel calls. A chain that is there is emptied. device is
// empty except for hooks of a device.
func (x *transaction) addBaseChain(name string, hook uint32, priority int32, device string) {
	x.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_CHAIN_NAME, name)
		b, nest := bulk.Nest(b, unix.NFTA_CHAIN_HOOK)
		b = number(number(b, unix.NFTA_HOOK_HOOKNUM, hook), unix.NFTA_HOOK_PRIORITY, uint32(priority))
		if device != "" {
			b = bulk.AttrString(b, unix.NFTA_HOOK_DEV, device)
		}
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
	var bodies [][]byte
	for _, p := range parts {
		for _, e := range p {
			body, err := expr.Marshal(x.family, e)
			if err != nil {
				x.err = errors.Join(x.err, fmt.Errorf("nft: rule in %s: %w", chain, err))
			}
			bodies = append(bodies, body)
		}
	}
	x.ruleOf(chain, bodies)
}

// ruleOf appends a rule of encoded expressions.
func (x *transaction) ruleOf(chain string, bodies [][]byte) {
	x.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, func(b []byte) []byte {
		b = bulk.AttrString(b, unix.NFTA_RULE_CHAIN, chain)
		b, list := bulk.Nest(b, unix.NFTA_RULE_EXPRESSIONS)
		for _, body := range bodies {
			b = bulk.Attr(b, unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, body)
		}
		return bulk.EndNest(b, list)
	})
}

// element adds or removes an element. The kernel refuses to add one that is there, and to remove
// one that is not, so that a transaction that succeeds has changed something. The last one of a
// transaction asks for an answer, so that silence can be told from success.
func (x *transaction) element(op hoststate.Op, last bool) {
	kind, flags := uint16(unix.NFT_MSG_NEWSETELEM), uint16(unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	if op.Remove {
		kind, flags = unix.NFT_MSG_DELSETELEM, 0
	}
	if last {
		flags |= unix.NLM_F_ACK
	}
	x.message(kind, flags, func(b []byte) []byte { return elements(b, op) })
}

// elements appends the name of a set, and a list with one element of it.
func elements(b []byte, op hoststate.Op) []byte {
	e := *op.Element
	b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_SET, idOf(e).String())
	b, list := bulk.Nest(b, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	b, elem := bulk.Nest(b, unix.NFTA_LIST_ELEM)
	b, key := bulk.Nest(b, unix.NFTA_SET_ELEM_KEY)
	var k [2*nameLen + etherLen + addrLen]byte
	b = bulk.Attr(b, unix.NFTA_DATA_VALUE, appendKey(k[:0], e))
	b = bulk.EndNest(b, key)
	if e.Set.IsTimed() && !op.Remove {
		b = beginUsed(b, op.Again)
	}
	return bulk.EndNest(bulk.EndNest(b, elem), list)
}

// number appends a number in network order, as nftables wants it.
func number(b []byte, kind uint16, v uint32) []byte {
	return bulk.Attr(b, kind, binary.BigEndian.AppendUint32(nil, v))
}

package nft

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// bringAbout makes the table what t says. If the table is there, it is emptied and filled again
// in place. If a chain with a hook were removed and made again in the same transaction, packets
// that are between the two just then would pass. So that is done only where the table is not one
// of ours any more, and holds nothing back anyhow.
func (k *guardTable) bringAbout(t *hop.GuardTable) error {
	there, err := k.inventory()
	if err != nil {
		return err
	}
	if there.fits(t) {
		x := k.begin()
		x.addTable()
		x.empty(t, there)
		x.fill(t, nil)
		x.dropCounters(t, there)
		if k.commit(x) == nil {
			k.forget(t, false)
			return nil
		}
	}
	x := k.begin()
	x.addTable() // in case there is none
	x.dropTable()
	x.addTable()
	x.fill(t, k.total)
	if err := k.commit(x); err != nil {
		return err
	}
	k.forget(t, true)
	return nil
}

// inventory lists what a table has.
type inventory struct {
	dormant  bool
	chains   map[string]hook
	sets     map[string]shape
	counters []string
}

// hook is where the kernel calls a chain; number is -1 for a chain that only other chains go to.
type hook struct {
	number, priority int32
	device           string // only for hooks of a device
}

// shape describes a set without its elements.
type shape struct {
	flags, length uint32
}

// inventory lists the table. If there is no table, the list is empty.
func (k *guardTable) inventory() (inventory, error) {
	i := inventory{chains: map[string]hook{}, sets: map[string]shape{}}
	tables, err := k.objects(unix.NFT_MSG_GETTABLE, ofTables)
	if err != nil {
		return i, err
	}
	for _, attrs := range tables {
		i.dormant = numbered(attrs, unix.NFTA_TABLE_FLAGS)&unix.NFT_TABLE_F_DORMANT != 0
	}
	chains, err := k.objects(unix.NFT_MSG_GETCHAIN, ofChains)
	if err != nil {
		return i, err
	}
	for _, attrs := range chains {
		name, h := "", hook{number: -1}
		bulk.Attrs(attrs, func(kind uint16, v []byte) {
			switch kind {
			case unix.NFTA_CHAIN_NAME:
				name = text(v)
			case unix.NFTA_CHAIN_HOOK:
				h = hook{number: int32(numbered(v, unix.NFTA_HOOK_HOOKNUM)), priority: int32(numbered(v, unix.NFTA_HOOK_PRIORITY))}
				bulk.Attrs(v, within(unix.NFTA_HOOK_DEV, func(device []byte) { h.device = text(device) }))
			}
		})
		i.chains[name] = h
	}
	sets, err := k.objects(unix.NFT_MSG_GETSET, ofSets)
	if err != nil {
		return i, err
	}
	for _, attrs := range sets {
		bulk.Attrs(attrs, within(unix.NFTA_SET_NAME, func(v []byte) {
			i.sets[text(v)] = shape{numbered(attrs, unix.NFTA_SET_FLAGS), numbered(attrs, unix.NFTA_SET_KEY_LEN)}
		}))
	}
	i.counters = slices.Sorted(maps.Keys(k.tally))
	return i, nil
}

// numbered is the number in the attribute of a kind; 0 if there is none.
func numbered(attrs []byte, wanted uint16) (n uint32) {
	bulk.Attrs(attrs, within(wanted, func(v []byte) {
		if len(v) == 4 {
			n = binary.BigEndian.Uint32(v)
		}
	}))
	return n
}

var hooks = map[hop.Hook]int32{
	hop.NoHook: -1, hop.HookInput: hookInput, hop.HookOutput: hookOutput, hop.HookPostrouting: hookPostrouting,
	hop.HookEgress: hookEgress,
}

// hookOf is the hook that a chain should have.
func hookOf(c *hop.GuardChain) hook { return hook{hooks[c.Hook], c.Priority, c.Device} }

// fits reports whether the table can be filled again in place. What is too much can be removed,
// but an object under a name of ours must be what we would make.
func (i *inventory) fits(t *hop.GuardTable) bool {
	if i.dormant || len(i.chains) == 0 {
		return false
	}
	for n := range t.Chains {
		if h, ok := i.chains[t.Chains[n].Name]; ok && h != hookOf(&t.Chains[n]) {
			return false
		}
	}
	for n := range t.Sets {
		s := &t.Sets[n]
		if there, ok := i.sets[s.Name]; ok && there != shapeOf(s) {
			return false
		}
	}
	return true
}

// empty removes what the table must not have, and all rules and elements.
func (x *transaction) empty(t *hop.GuardTable, there inventory) {
	x.message(unix.NFT_MSG_DELRULE, 0, func(b []byte) []byte { return b })
	for _, name := range slices.Sorted(maps.Keys(there.chains)) {
		if !slices.ContainsFunc(t.Chains, func(c hop.GuardChain) bool { return c.Name == name }) {
			x.drop(unix.NFT_MSG_DELCHAIN, unix.NFTA_CHAIN_NAME, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there.sets)) {
		switch {
		case strings.HasPrefix(name, "__"): // it belongs to a rule, and goes with the rule
		case slices.ContainsFunc(t.Sets, func(s hop.GuardSet) bool { return s.Name == name }):
			x.drop(unix.NFT_MSG_DELSETELEM, unix.NFTA_SET_ELEM_LIST_SET, name)
		default:
			x.drop(unix.NFT_MSG_DELSET, unix.NFTA_SET_NAME, name)
		}
	}
}

// dropCounters removes the counters of hops that are gone.
func (x *transaction) dropCounters(t *hop.GuardTable, there inventory) {
	wanted := make(map[string]bool, len(t.Counters))
	for _, c := range t.Counters {
		wanted[c] = true
	}
	for _, name := range there.counters {
		if !wanted[name] {
			x.message(unix.NFT_MSG_DELOBJ, 0, func(b []byte) []byte {
				return number(bulk.AttrString(b, unix.NFTA_OBJ_NAME, name), unix.NFTA_OBJ_TYPE, unix.NFT_OBJECT_COUNTER)
			})
		}
	}
}

// drop removes an object by its name.
func (x *transaction) drop(kind, attribute uint16, name string) {
	x.message(kind, 0, func(b []byte) []byte { return bulk.AttrString(b, attribute, name) })
}

// fill makes everything that is missing. from gives the first value of each counter; nil: 0.
func (x *transaction) fill(t *hop.GuardTable, from func(counter string) hop.Traffic) {
	for _, c := range t.Counters {
		begin := Counter{}
		if from != nil {
			begin = Counter(from(c))
		}
		x.addCounterAt(c, begin)
	}
	for i := range t.Sets {
		x.addGuardSet(&t.Sets[i], uint32(i)+1)
	}
	for i := range t.Chains {
		c := &t.Chains[i]
		if c.Hook == hop.NoHook {
			x.addChain(c.Name)
		} else {
			x.addBaseChain(c.Name, uint32(hookOf(c).number), c.Priority, c.Device)
		}
	}
	for i := range t.Chains {
		x.addGuardChain(&t.Chains[i])
	}
}

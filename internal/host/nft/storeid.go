package nft

import (
	"strings"

	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// The table remembers the id of the store that its elements are from. The id is the end of the
// name of an empty chain.
const storePrefix = "store-"

// Found tells whether Open found a table, and the table's store id; empty: it has none.
func (t *Table) Found() (there bool, storeID string) { return t.found, t.foundID }

// Bare tells whether the table was empty when Open had opened it, as after a reboot, and which
// Version that was.
func (t *Table) Bare() (bool, Version) { return t.bare, t.opened }

// SetStoreID gives the table a store id, in place of the present one. The id stays, whatever
// other programs do to the table.
func (t *Table) SetStoreID(storeID string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if storeID == t.storeID {
		return nil
	}
	x := t.begin()
	x.addChain(storePrefix + storeID)
	chains, err := t.names(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_NAME)
	if err != nil {
		return err
	}
	for _, name := range chains {
		if strings.HasPrefix(name, storePrefix) && name != storePrefix+storeID {
			x.deleteChain(name)
		}
	}
	t.storeID = storeID
	return t.commit(x)
}

// storeIDOf is the store id among the names of a table's chains.
func storeIDOf(chains []string) string {
	for _, name := range chains {
		if storeID, ok := strings.CutPrefix(name, storePrefix); ok {
			return storeID
		}
	}
	return ""
}

func (x *transaction) deleteChain(name string) {
	x.message(unix.NFT_MSG_DELCHAIN, 0, func(b []byte) []byte { return bulk.AttrString(b, unix.NFTA_CHAIN_NAME, name) })
}

package nft

import (
	"strings"

	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// The mark of a table says whose elements it has: an empty chain, as the layout is,
// whose name ends in the mark.
const markPrefix = "store-"

// Found says whether Open found a table, and with which mark; empty: with none.
func (t *Table) Found() (there bool, mark string) { return t.found, t.foundMark }

// Bare says whether the table was empty once Open had opened it, as after a reboot, and
// which Version that was.
func (t *Table) Bare() (bool, Version) { return t.bare, t.opened }

// SetMark gives the table a mark, in place of the one it has. It keeps it, whatever
// others do to the table.
func (t *Table) SetMark(mark string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mark == t.mark {
		return nil
	}
	x := t.begin()
	x.addChain(markPrefix + mark)
	chains, err := t.names(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_NAME)
	if err != nil {
		return err
	}
	for _, name := range chains {
		if strings.HasPrefix(name, markPrefix) && name != markPrefix+mark {
			x.deleteChain(name)
		}
	}
	t.mark = mark
	return t.commit(x)
}

// markOf is the mark among the names of a table's chains.
func markOf(chains []string) string {
	for _, name := range chains {
		if mark, ok := strings.CutPrefix(name, markPrefix); ok {
			return mark
		}
	}
	return ""
}

func (x *transaction) deleteChain(name string) {
	x.message(unix.NFT_MSG_DELCHAIN, 0, func(b []byte) []byte { return bulk.AttrString(b, unix.NFTA_CHAIN_NAME, name) })
}

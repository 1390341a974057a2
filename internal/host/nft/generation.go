package nft

import (
	"errors"
	"fmt"

	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Version stands for what others did to the rule set of the network namespace. Of
// two that are equal: nobody but the Table changed anything in nftables between
// the one and the other, and all that the Table was asked for in between came
// about. Then its rules and elements need not be read to know what they are. The
// zero Version equals none that a Table tells.
//
// The kernel numbers transactions, not tables: one in a table of somebody else,
// or of a Guard, makes another Version too. Where somebody changes nftables all
// the time no two Versions are equal.
type Version struct {
	Others uint32 // transactions of others since the namespace began, plus 1
	Lapses uint64 // times that not all came about, or may not have, since Open
}

// Version costs one short request, however much there is in the table.
func (t *Table) Version() (Version, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version()
}

func (t *Table) version() (Version, error) {
	number, err := t.generation()
	if err != nil {
		return Version{}, err
	}
	return Version{Others: othersOf(number, t.own), Lapses: t.lapses}, nil
}

// generations is how many numbers there are: 0 is none.
const generations = 1<<32 - 1

// othersOf is how many transactions of others a number of the rule set tells of,
// plus 1. Each transaction that changes anything makes the number one more.
func othersOf(number uint32, own uint64) uint32 {
	return uint32((uint64(number-1)+generations-own%generations)%generations) + 1
}

// generation is the number of the rule set of the network namespace, which every
// transaction of anybody changes.
func (s *session) generation() (number uint32, err error) {
	b, start := bulk.Begin(nil, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, unix.NLM_F_ACK, unix.AF_UNSPEC, 0, 0, 0)
	err = s.bulk.Dump(bulk.End(b, start), 1, func() {}, func(_ uint16, body []byte) {
		if len(body) < sizeofNfgenmsg {
			return
		}
		bulk.Attrs(body[sizeofNfgenmsg:], func(kind uint16, v []byte) {
			if kind == unix.NFTA_GEN_ID && len(v) == 4 {
				number = bigEndian32(v)
			}
		})
	})
	if err != nil {
		return 0, fmt.Errorf("nft: generation: %w", err)
	}
	if number == 0 {
		return 0, errors.New("nft: generation: the kernel did not say")
	}
	return number, nil
}

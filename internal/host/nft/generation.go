package nft

import (
	"errors"
	"fmt"

	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Version tells whether other programs have changed the rule set of the network namespace. If two
// Versions are equal, only the Table has changed nftables between them, and everything that the
// Table was asked for has taken effect: then its rules and elements are known without being read.
// No Version of a Table equals the zero Version.
//
// The kernel numbers transactions, not tables: a transaction in the table of another program, or
// of a Guard, makes another Version too. Where another program changes nftables all the time, no
// two Versions are equal.
type Version struct {
	Others uint32 // transactions of other programs since the namespace began, plus 1
	Lapses uint64 // how often since Open a request failed in part, or may have
}

// Version asks the kernel. That is one short request, however large the table is.
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

// generations is how many numbers there are, because none is 0.
const generations = 1<<32 - 1

// othersOf is the number of other programs' transactions, plus 1, from the number of the rule set
// and our own transactions. Each transaction that changes anything increases the number by one.
func othersOf(number uint32, own uint64) uint32 {
	return uint32((uint64(number-1)+generations-own%generations)%generations) + 1
}

// generation is the number of the rule set of the network namespace. Every transaction changes
// it.
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

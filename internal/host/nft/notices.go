package nft

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"
)

// Notices are the kernel's notices of changes in one table.
type Notices struct {
	heard *bulk.Listener
	name  string
}

// OpenNotices begins to listen for changes in an owner's guard tables, in the network namespace
// of the calling thread. Changes of other, which may be tens of thousands a second, do not
// concern the guard and are left out; other may be nil.
func OpenNotices(owner hop.Owner, other *Table) (*Notices, error) {
	return openNotices(owner.Table(), other)
}

// OpenNotices begins to listen for changes that other programs make in the filter table, in the
// network namespace of the calling thread, which must be the Table's.
func (t *Table) OpenNotices() (*Notices, error) {
	return openNotices(t.name, t)
}

func openNotices(table string, ignored *Table) (*Notices, error) {
	l, err := bulk.Listen(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, fmt.Errorf("nft: notices: %w", err)
	}
	if ignored != nil {
		if err := l.Ignore(ignored.bulk.Port()); err != nil {
			return nil, errors.Join(fmt.Errorf("nft: notices: %w", err), l.Close())
		}
	}
	return &Notices{l, table}, nil
}

// Close ends Wait.
func (n *Notices) Close() error { return n.heard.Close() }

// Wait is Listener.Wait of package bulk.
func (n *Notices) Wait(ctx context.Context) error { return n.heard.Wait(ctx) }

// Read reads the notices that have come since the last Read, and reports whether the table may
// have changed. It does not wait.
func (n *Notices) Read() (changed bool) {
	lost := n.heard.Read(func(_ uint16, body []byte) {
		if len(body) < sizeofNfgenmsg || changed {
			return
		}
		// In a notice of any kind, this attribute is the name of the table.
		bulk.Attrs(body[sizeofNfgenmsg:], within(unix.NFTA_TABLE_NAME, func(v []byte) {
			changed = changed || string(bytes.TrimRight(v, "\x00")) == n.name
		}))
	})
	return changed || lost
}

package nft

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"
)

// Notices is what the kernel tells of changes in an owner's guard tables.
type Notices struct {
	heard *bulk.Listener
	name  string
}

// OpenNotices begins to listen, in the network namespace of the calling thread.
func OpenNotices(owner hop.Owner) (*Notices, error) {
	l, err := bulk.Listen(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, fmt.Errorf("nft: notices: %w", err)
	}
	return &Notices{l, owner.Table()}, nil
}

// Close ends Wait.
func (n *Notices) Close() error { return n.heard.Close() }

// Wait is bulk.Listener's.
func (n *Notices) Wait(ctx context.Context) error { return n.heard.Wait(ctx) }

// Read takes what was told and not read yet, and reports whether something may have
// changed in the guard tables. It does not wait.
func (n *Notices) Read() (changed bool) {
	lost := n.heard.Read(func(_ uint16, body []byte) {
		if len(body) < sizeofNfgenmsg || changed {
			return
		}
		// Whatever the notice is about, this attribute names its table.
		bulk.Attrs(body[sizeofNfgenmsg:], within(unix.NFTA_TABLE_NAME, func(v []byte) {
			changed = changed || string(bytes.TrimRight(v, "\x00")) == n.name
		}))
	})
	return changed || lost
}

// Package netlink carries out route operations, and tells what happens to the host's links,
// addresses and routes.
//
// Our routes have a protocol number of their own. The package never changes, removes or replaces
// any other route. It decides nothing: core/hoststate says which routes there should be. It does
// not use next-hop objects, which the kernel removes with their routes when the carrier is lost.
//
// RFC 8987 and S-2 depend on it. A Conn is safe for concurrent use. It belongs to the
// network namespace of the thread that opened it.
package netlink

import (
	"errors"
	"fmt"
	"sync"

	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Protocol is the number in our routes (rtm_protocol). A file in rt_protos.d names it fairlead.
const Protocol = 87

// ErrRefused is the kernel's answer to a route whose device is down, gone or without IPv6. A
// stand-in route is needed.
var ErrRefused = errors.New("route refused")

// ErrForeign says that there is a route of the same table, prefix and metric that is not ours. It
// stays as it is.
var ErrForeign = errors.New("foreign route in the way")

// Options say how to open a Conn. The zero value is what the product uses.
type Options struct {
	Protocol uint8 // 0: Protocol
}

// Conn speaks rtnetlink.
type Conn struct {
	protocol uint8
	requests *bulk.Conn // for changes; by its port we know the notices of our own changes
	queries  *bulk.Conn // for dumps, so that they do not delay changes
	owned    owned
	// watchBuffer is room for notices, in octets.
	watchBuffer int

	mu      sync.Mutex // guards all following fields
	batch   batch
	answers []error
}

// Open opens a Conn in the network namespace of the calling thread.
func Open(o Options) (*Conn, error) {
	if o.Protocol == 0 {
		o.Protocol = Protocol
	}
	requests, err := bulk.Open(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	queries, err := bulk.Open(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("routes: %w", err), requests.Close())
	}
	return &Conn{
		protocol: o.Protocol, requests: requests, queries: queries, owned: newOwned(), watchBuffer: watchBuffer,
	}, nil
}

// Close closes the Conn. What was installed stays.
func (c *Conn) Close() error {
	return errors.Join(c.requests.Close(), c.queries.Close())
}

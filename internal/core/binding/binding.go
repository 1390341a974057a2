// Package binding knows who holds which prefix or address until when: on which link,
// through which next hop, and by whose word. It has the value, its record and its key
// in the store, and a table of all that are live, with every way to find one. It is for
// all roles and for both families. What may be granted, refused or moved is decided
// elsewhere: for a delegating relay by package delegation.
//
// A Table belongs to one goroutine. Bindings are values; what is handed out is a copy.
package binding

import (
	"net/netip"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Kind tells a delegated prefix from an assigned address.
type Kind uint8

// Prefix is an IA_PD's IAPREFIX; Address an IA_NA's IAADDR or the address of a DHCPv4
// lease, held as a prefix of full length.
const (
	Prefix Kind = iota
	Address
	Kinds
)

func (k Kind) String() string { return [...]string{"prefix", "address"}[k] }

// Source is where a binding was learned.
type Source uint8

// The sources. More come with leasequery.
const (
	FromReply Source = iota + 1
	FromStore
)

func (s Source) String() string { return [...]string{"unknown", "reply", "store"}[s] }

// Binding is one prefix or address in the hands of one client.
type Binding struct {
	Link   string // name of the client-facing interface
	VRF    string // VRF of that interface: prefixes are unique within one
	Prefix netip.Prefix
	Kind   Kind

	Client    Client
	IAID      uint32
	NoIAID    bool       // whoever told of it does not know the IAID, as leasequery does not
	NextHop   netip.Addr // where the client's messages come from
	LinkLayer linkaddr.Addr
	Line      uint32       // on which a server's word about it was heard, see hoststate.State.Line; not kept in the store
	Exclude   netip.Prefix // a part of Prefix that the client has not got (RFC 6603); invalid: none

	Preferred instant.Instant // when the preferred lifetime ends
	Valid     instant.Instant // when the valid lifetime ends
	Lifetime  time.Duration   // valid lifetime as last granted; instant.Never's distance if infinite

	Server  string // name of the peer that it came through
	Source  Source
	Granted time.Time // when the client first got it
	Changed time.Time // when it was last granted or extended

	Standing Standing
}

// Standing is how the holder stands to its binding, as far as messages have shown
// since the process began. It is not kept: what is not known is no claim, and nothing
// is given up.
type Standing struct {
	Renewed instant.Instant // when a Renew or Rebind of the holder last named it; 0: not yet
	XID     uint32          // of that message
	GivenUp bool            // the answer to it left the prefix out, and nothing has granted it since
	Doubted bool            // since then a Release for it was forwarded that is not the holder's
}

// Claimed is how long a Renew or Rebind, or traffic, shows that a client still uses
// its prefix.
const Claimed = 60 * time.Second

// NextHop is somebody who may or may not still be there: the client's
// link-local address on a link, and its link-layer address where known.
type NextHop struct {
	Link      string
	Addr      netip.Addr
	LinkLayer linkaddr.Addr
}

// Via is the next hop of a binding.
func (b *Binding) Via() NextHop {
	return NextHop{Link: b.Link, Addr: b.NextHop, LinkLayer: b.LinkLayer}
}

// Question is what is to be found out about a next hop: whether it answers, and, if
// Prefix is set, whether it has lately sent from that as well. Both must be so for it
// to keep what it holds.
type Question struct {
	NextHop NextHop
	Prefix  netip.Prefix
}

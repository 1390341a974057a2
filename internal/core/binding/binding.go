// Package binding has the bindings of clients: who has which prefix or address until when,
// on which link, through which next hop, and from which server. It has the type, its
// record and key in the store, and a table of the live bindings with its indexes. It is
// for all roles and for both families. Other packages decide what is granted, refused or
// moved; for a delegating relay that is package delegation.
//
// A Table belongs to one goroutine. Bindings are values; the table returns copies.
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
	Assigned   // by our own server
	Registered // by its client, to our own server (RFC 9686)
	Notified   // by a server beside a message that the relay cannot read (RAAN)
)

func (s Source) String() string {
	return [...]string{"unknown", "reply", "store", "assigned", "registered", "notification"}[s]
}

// Binding is one prefix or address in the hands of one client.
type Binding struct {
	Link   string // name of the client-facing interface
	VRF    string // VRF of that interface: prefixes are unique within one
	Prefix netip.Prefix
	Kind   Kind

	Client    Client
	IAID      uint32
	NoIAID    bool       // the IAID is not known, as after a leasequery
	NextHop   netip.Addr // where the client's messages come from
	LinkLayer linkaddr.Addr
	Line      uint32 // line on which a server's message about it came, see hoststate.State.Line; not kept in the store
	// Reconfigures says that the client accepts Reconfigures of our server.
	Reconfigures bool
	Exclude      netip.Prefix // part of Prefix that is not delegated (RFC 6603); invalid: none

	Preferred instant.Instant // when the preferred lifetime ends
	Valid     instant.Instant // when the valid lifetime ends
	Lifetime  time.Duration   // valid lifetime as last granted; instant.Never's distance if infinite

	Server  string // name of the peer that it came through
	Source  Source
	Granted time.Time // when the client first got it
	Changed time.Time // when it was last granted or extended

	Standing Standing
}

// Standing is what messages have shown since the process began about the holder's use of
// its binding. It is not kept: after a start the holder has made no claim and given
// nothing up.
type Standing struct {
	Renewed instant.Instant // when a Renew or Rebind of the holder last named it; 0: not yet
	XID     uint32          // of that message
	GivenUp bool            // the answer to that message left the prefix out, and no server has granted it since
	Doubted bool            // since then a Release for it was forwarded that did not come from the holder
}

// Claimed is for how long a Renew, a Rebind or traffic counts as a claim.
const Claimed = 60 * time.Second

// NextHop is a next hop that may have left: the client's link-local address on a link, and
// its link-layer address where that is known.
type NextHop struct {
	Link      string
	Addr      netip.Addr
	LinkLayer linkaddr.Addr
}

// Via is the next hop of a binding.
func (b *Binding) Via() NextHop {
	return NextHop{Link: b.Link, Addr: b.NextHop, LinkLayer: b.LinkLayer}
}

// Question is what a probe is to find out about a next hop: whether it answers, and, if
// Prefix is set, whether it has lately sent from that prefix as well. The holder keeps its
// binding only if both are so.
type Question struct {
	NextHop NextHop
	Prefix  netip.Prefix
}

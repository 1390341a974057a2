package hop

import (
	"net/netip"
	"time"
)

// Charon is our part of strongSwan's state at one moment.
type Charon struct {
	Connections []string // names of the hops whose connections are loaded
	IKE         []IKESA
}

// IKESA is an IKE SA of one of our connections.
type IKESA struct {
	Hop         string
	ID          uint32 // strongSwan's number of it
	Established bool
	Outdated    bool          // it was made before the connection that is loaded now, and ends
	Age         time.Duration // since it was established
	Probing     bool          // a dead peer detection waits for its answer
	Children    []ChildSA
}

// ChildSA is a pair of ESP SAs, one each way, that strongSwan says it installed.
type ChildSA struct {
	Selector      string // name of the Selector
	ID            uint32 // strongSwan's number of it
	Installed     bool   // and not being rekeyed away or deleted
	SPIIn, SPIOut uint32
	Algorithms    string // as "AES_GCM_16-256"
	Age           time.Duration
	In, Out       Traffic
}

// Traffic is what has passed an SA. It is an alias, so that the Figures of a hop can be
// converted to those of package api, whose traffic has tags.
type Traffic = struct {
	Packets, Bytes uint64
}

// Kernel is the state of XFRM at one moment, whichever program installed it.
type Kernel struct {
	States   []XfrmState
	Policies []XfrmPolicy
}

// XfrmState is one ESP SA in the kernel, larval ones left out.
type XfrmState struct {
	Source, Dest netip.Addr
	SPI          uint32
	Reqid        uint32
	Traffic      Traffic
	Age          time.Duration
	ReplayErrors uint64
	AuthErrors   uint64
	AsInstalled  bool // a manual SA that is as Install was asked for it last, with its keys
}

// XfrmPolicy is one policy for input or output in the kernel.
type XfrmPolicy struct {
	Out                  bool // output; otherwise input
	Source, Dest         netip.Prefix
	Protocol             uint8
	SourcePort, DestPort uint16 // 0: any
	Priority             uint32 // the smallest wins
	Reqid                uint32 // of its first template
	ESP                  bool   // requires ESP in transport mode
	Stops                bool   // lets nothing pass
}

// Event is an event of strongSwan about a hop.
type Event struct {
	Hop   string
	Kind  EventKind
	Text  string // in words, for EventFailed
	Child string // name of the Selector, for child events
}

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	EventIKEUp EventKind = iota + 1
	EventIKEDown
	EventChildUp
	EventChildDown
	EventIKERekeyed
	EventChildRekeyed
	EventFailed // negotiation failed, and why
)

// Guard is the state of the guard table at one moment.
type Guard struct {
	Intact    bool               // chains and rules are as they were installed
	Hops      map[string]Dropped // by hop
	Strangers Traffic            // relayed messages from strangers
	Frames    string             // why frames from packet sockets are not stopped; empty: they are
}

// Dropped are the packets that came, or would have left, outside ESP.
type Dropped struct {
	In, Out Traffic
}

// State is a hop as operators see it.
type State struct {
	Hop, Peer     string
	Mode          string        // "ike psk", "ike certificate" or "manual"
	Local, Remote netip.Addr    // link-local ones with the interface as zone
	Protected     bool          // ESP is in place both ways, and the guard
	Problem       string        // why it is not; empty if it is
	Algorithms    string        // of the ESP SAs in use
	Age           time.Duration // of the ESP SAs in use; of the key with manual keys
	Figures
	DroppedAt   string // hop to the same address that counts what was dropped of this one too: the guard knows a peer by its address alone; empty: what was dropped is the hop's own
	LastError   string // in words; empty: none yet
	LastErrorAt time.Time
	Warnings    []string // standing ones: replay and key age with manual keys, link-local addresses in a VRF
}

// Figures are what is counted of a hop since it was first seen. Operators read them as
// api.HopFigures, which has the same fields: one more here does not compile until it has
// a name there.
type Figures struct {
	In, Out               Traffic // in ESP, over all SAs
	Rekeys                uint64
	DroppedIn, DroppedOut Traffic // outside ESP
	Rejected              uint64  // packets in ESP that failed authentication, or came twice
}

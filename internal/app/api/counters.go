package api

import (
	"net/netip"
	"time"
)

// Counters are the figures behind the metrics, of one moment. Everything that
// names one of many (links, peers) is bounded by the configuration and the host.
type Counters struct {
	Version   string
	RelayID   DUID
	Started   time.Time
	Clock     ClockStatus
	Store     StoreStatus
	Host      HostStatus
	Totals    Totals
	Links     []LinkCounts
	Peers     []PeerCounts
	Refusals  map[string]uint64 // grants not learned, by reason; without those that are 0
	Unmatched []LinkHoldings    // links with delegations that no rule matches
	Unknown   map[string]uint64 // drops of datagrams from interfaces that are not known, by reason
	Sum       TrafficCounts     // of all links that ever were, and of unknown interfaces
	Filter    FilterCounters
	Socket    SocketCounters
	Hook      HookCounters
	Config    ConfigCounters

	Strangers Traffic // relayed messages from nobody that is configured, which the guard table stopped

	HostFindings map[string]uint64 // differences that audits of the kernel found: "missing", "changed", "left-over"
	Panics       uint64            // packets that cost a rebuild of the core
	EventsLost   uint64            // by slow readers of watch and trace
	Degraded     int               // Status.Wrong
}

// TrafficCounts are figures of the whole process. Every type and reason that there
// is has its place, from the start.
type TrafficCounts struct {
	Received  map[string]uint64 // by message type, from clients and relays below
	Delivered map[string]uint64 // by message type, to them
	Drops     map[string]uint64 // by reason
	Refusals  map[string]uint64 // grants not learned and Releases not believed, by reason
}

// LinkCounts are the figures of one link: of one that faces clients, or of another
// one where something was discarded.
type LinkCounts struct {
	Link         string
	ClientFacing bool
	Up           bool // up, with carrier
	Limit        int  // delegated prefixes at most
	ClientLimit  int  // prefixes of one client
	HostLimit    int  // prefixes behind one link-layer address; 0: no limit
	Use          Use
	Prefixes     int
	Addresses    int
	Missing      netip.Addr     // a link-address that its link has lost, and that is used for a time; invalid: none is
	LastSpoofed  *SpoofedSource // the last packet that was dropped for its source; nil: none lately
	LinkCounters
}

// Use is how far the limits of one link are used.
type Use struct {
	ClientMost  int // the most prefixes that one client has
	ClientsFull int // clients that have as many as they may
	HostMost    int // the most prefixes behind one link-layer address
	HostsFull   int // link-layer addresses behind which are as many as may be
}

// PeerCounts are the figures of one peer.
type PeerCounts struct {
	Peer           string
	Sent, Received uint64
	SinceAnswer    uint64
	Unreachable    uint64
	Silent         bool
	LastReceived   time.Time // zero: never
	Protection     string    // what is required: "none" or "ipsec"
	Protected      bool
	Hops           []Hop
}

// FilterCounters are the packets that the kernel's filter discarded (RFC 8987
//
type FilterCounters struct {
	Spoofed          uint64 // source is nobody's on the link
	SpoofedLinkLayer uint64 // source is right, the link-layer address is not its client's
	Looped           uint64 // would have gone round, dropped without a word
	Rejected         uint64 // the same, answered with ICMPv6
}

// SocketCounters are the datagrams that our sockets passed and discarded.
type SocketCounters struct {
	Received map[string]uint64 // by path: "frame", "socket"
	Sent     map[string]uint64 // by path
	Drops    map[string]uint64 // by reason: "bad-checksum", "queue-full", "flood-queue-full", ...
}

// HookCounters are the runs of the hook program.
type HookCounters struct {
	Succeeded uint64
	Failed    uint64 // exit status, timeout or not started
	Dropped   uint64 // events for which the queue had no room
	Waiting   int
}

// ConfigCounters are the reloads of the configuration.
type ConfigCounters struct {
	Reloads        uint64 // that succeeded
	ReloadsRefused uint64
	LastRefused    bool      // the last reload was refused
	LastReload     time.Time // when it was tried; zero: never
	Loaded         time.Time
}

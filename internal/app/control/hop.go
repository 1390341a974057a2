package control

import (
	"net/netip"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// Hop is one pair of addresses between which a peer's messages travel in ESP or
// not at all (RFC 8213).
type Hop struct {
	Name       string     `json:"name"`
	Mode       string     `json:"mode"` // "ike psk", "ike certificate" or "manual"
	Local      netip.Addr `json:"local"`
	Remote     netip.Addr `json:"remote"`
	Protected  bool       `json:"protected"`
	Problem    string     `json:"problem,omitempty"`    // why it is not protected
	Algorithms string     `json:"algorithms,omitempty"` // of the ESP SAs in use
	Age        Lifetime   `json:"age"`                  // of the ESP SAs in use; of the key with manual keys
	In         Traffic    `json:"in"`                   // in ESP since the hop was first seen
	Out        Traffic    `json:"out"`
	Rekeys     uint64     `json:"rekeys"`
	DroppedIn  Traffic    `json:"dropped_in"` // came outside ESP, and was discarded
	DroppedOut Traffic    `json:"dropped_out"`
	DroppedAt  string     `json:"dropped_at,omitempty"` // hop to the same address that counts what was dropped of this one too
	Rejected   uint64     `json:"rejected"`             // packets in ESP that failed authentication, or came twice
	LastError  string     `json:"last_error,omitempty"`
	// LastErrorAt is absent while there was no error.
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	Warnings    []string  `json:"warnings,omitempty"` // standing ones, of manual keys and the like
}

// Traffic is packets and the octets in them.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// HopOf is a hop as it stands now.
func HopOf(s *hop.State) Hop {
	return Hop{
		Name: s.Hop, Mode: s.Mode, Local: s.Local, Remote: s.Remote,
		Protected: s.Protected, Problem: s.Problem, Algorithms: s.Algorithms, Age: Lifetime(s.Age),
		In: TrafficOf(s.In), Out: TrafficOf(s.Out), Rekeys: s.Rekeys,
		DroppedIn: TrafficOf(s.Dropped.In), DroppedOut: TrafficOf(s.Dropped.Out), DroppedAt: s.DroppedAt, Rejected: s.Rejected,
		LastError: s.LastError, LastErrorAt: s.LastErrorAt, Warnings: append([]string(nil), s.Warnings...),
	}
}

// TrafficOf is traffic in this package's terms.
func TrafficOf(t hop.Traffic) Traffic { return Traffic{Packets: t.Packets, Bytes: t.Bytes} }

// HopsOf are the hops of one peer among all, none if the peer has none.
func HopsOf(peer string, all []hop.State) []Hop {
	var hops []Hop
	for i := range all {
		if all[i].Peer == peer {
			hops = append(hops, HopOf(&all[i]))
		}
	}
	return hops
}

// Protected reports whether a peer's messages are protected: every one of its hops
// is. A peer whose hops nobody has looked at yet is not, nor is one that requires no
// protection: its messages are in clear.
func Protected(p *trust.Peer, all []hop.State) bool {
	if p.Protection == trust.ProtectionNone {
		return false
	}
	found := false
	for i := range all {
		if all[i].Peer != p.Name {
			continue
		}
		if !all[i].Protected {
			return false
		}
		found = true
	}
	return found
}

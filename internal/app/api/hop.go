package api

import (
	"net/netip"
	"time"
)

// Hop is one pair of addresses between which a peer's messages travel in ESP or not at all (RFC
// 8213).
type Hop struct {
	Name       string     `json:"name"`
	Mode       string     `json:"mode"` // "ike psk", "ike certificate" or "manual"
	Local      netip.Addr `json:"local"`
	Remote     netip.Addr `json:"remote"`
	Protected  bool       `json:"protected"`
	Problem    string     `json:"problem,omitempty"`    // why the hop is not protected
	Algorithms string     `json:"algorithms,omitempty"` // algorithms of the ESP SAs in use
	Age        Lifetime   `json:"age"`                  // age of the ESP SAs in use; with manual keys, of the key
	HopFigures
	DroppedAt string `json:"dropped_at,omitempty"` // hop to the same address whose counters include what was dropped of this one
	LastError string `json:"last_error,omitempty"`
	// LastErrorAt is the time of the last error; absent if there was none.
	LastErrorAt time.Time `json:"last_error_at,omitzero" gauge:"ipsec_last_error_timestamp_seconds" help:"When something last went wrong with a hop; absent if never."`
	Warnings    []string  `json:"warnings,omitempty" gauge:"ipsec_warnings" help:"Standing warnings about a hop, such as the age of a manual key; fairlead ipsec status has them in words."`
}

// HopFigures count packets of a hop since the process first saw the hop.
type HopFigures struct {
	In         Traffic `json:"in"` // received in ESP
	Out        Traffic `json:"out"`
	Rekeys     uint64  `json:"rekeys" counter:"ipsec_rekeys_total" help:"ESP SAs of a hop that took an old one's place."`
	DroppedIn  Traffic `json:"dropped_in"` // received outside ESP, and discarded
	DroppedOut Traffic `json:"dropped_out"`
	Rejected   uint64  `json:"rejected"` // packets in ESP that failed authentication, or came twice
}

// Traffic is a number of packets, and of the octets in them. It is an alias, so that HopFigures
// has the same fields as the counters of the core.
type Traffic = struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

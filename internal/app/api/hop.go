package api

import (
	"net/netip"
	"time"
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
	HopFigures
	DroppedAt string `json:"dropped_at,omitempty"` // hop to the same address that counts what was dropped of this one too
	LastError string `json:"last_error,omitempty"`
	// LastErrorAt is absent while there was no error.
	LastErrorAt time.Time `json:"last_error_at,omitzero" gauge:"ipsec_last_error_timestamp_seconds" help:"When something last went wrong with a hop; absent if never."`
	Warnings    []string  `json:"warnings,omitempty" gauge:"ipsec_warnings" help:"Standing warnings about a hop, such as the age of a manual key; fairlead ipsec status has them in words."`
}

// HopFigures are what is counted of a hop since it was first seen.
type HopFigures struct {
	In         Traffic `json:"in"` // in ESP
	Out        Traffic `json:"out"`
	Rekeys     uint64  `json:"rekeys" counter:"ipsec_rekeys_total" help:"ESP SAs of a hop that took an old one's place."`
	DroppedIn  Traffic `json:"dropped_in"` // came outside ESP, and was discarded
	DroppedOut Traffic `json:"dropped_out"`
	Rejected   uint64  `json:"rejected"` // packets in ESP that failed authentication, or came twice
}

// Traffic is packets and the octets in them. It is an alias, so that HopFigures has the
// same fields as what is counted.
type Traffic = struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

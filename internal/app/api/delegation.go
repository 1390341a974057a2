package api

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"time"
)

// SourceKernel is the source of a Delegation that the store does not explain.
const SourceKernel = "kernel"

// Delegation is one prefix or address in the hands of one client.
type Delegation struct {
	Prefix    netip.Prefix `json:"prefix"`
	Kind      string       `json:"kind"` // "prefix" or "address"
	Link      string       `json:"link"`
	VRF       string       `json:"vrf,omitempty"`
	Client    Identifier   `json:"client"`
	IAID      IAID         `json:"iaid,omitzero"` // leases of DHCPv4 have none
	NextHop   netip.Addr   `json:"next_hop"`
	LinkLayer string       `json:"link_layer,omitempty"`
	Preferred Lifetime     `json:"preferred"` // what is left of the preferred lifetime
	Valid     Lifetime     `json:"valid"`     // what is left of the valid lifetime
	Expires   time.Time    `json:"expires,omitzero"`
	Lifetime  Lifetime     `json:"lifetime"` // the valid lifetime as last granted
	Server    string       `json:"server"`
	Source    string       `json:"source"` // "reply" or "store"; SourceKernel, with no client: the store does not explain it
	Granted   time.Time    `json:"granted"`
	Changed   time.Time    `json:"changed"`
	// Unproved: on a point-to-point link that may be another client's by now, without
	// route and filter element until the server grants or renews it there.
	Unproved bool `json:"unproved,omitempty"`
}

// IAID is an IAID that may not be known: leases of DHCPv4 have none, and whoever tells of
// a delegation need not tell it. In JSON it is a number.
type IAID struct {
	ID    uint32
	Known bool
}

func (i IAID) String() string {
	if !i.Known {
		return "-"
	}
	return strconv.FormatUint(uint64(i.ID), 10)
}

// MarshalJSON writes the number, or null.
func (i IAID) MarshalJSON() ([]byte, error) {
	if !i.Known {
		return []byte("null"), nil
	}
	return json.Marshal(i.ID)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (i *IAID) UnmarshalJSON(b []byte) error {
	*i = IAID{Known: string(b) != "null"}
	return json.Unmarshal(b, &i.ID)
}

// HistoryEntry is who had a prefix from when to when.
type HistoryEntry struct {
	Prefix  netip.Prefix `json:"prefix"`
	Kind    string       `json:"kind"`
	Link    string       `json:"link"`
	VRF     string       `json:"vrf,omitempty"`
	Client  Identifier   `json:"client"`
	IAID    IAID         `json:"iaid,omitzero"`
	NextHop netip.Addr   `json:"next_hop"`
	Server  string       `json:"server"`
	Granted time.Time    `json:"granted"`
	Ended   time.Time    `json:"ended,omitzero"`   // absent: still theirs
	Reason  string       `json:"reason,omitempty"` // why it ended
}

package api

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"time"
)

// SourceKernel is the source of an orphan: a Delegation that the kernel has and that the store
// does not explain.
const SourceKernel = "kernel"

// Delegation is a prefix or address that one client has.
type Delegation struct {
	Prefix    netip.Prefix `json:"prefix"`
	Kind      string       `json:"kind"` // "prefix" or "address"
	Link      string       `json:"link"`
	VRF       string       `json:"vrf,omitempty"`
	Client    Identifier   `json:"client"`
	IAID      IAID         `json:"iaid,omitzero"` // absent for leases of DHCPv4
	NextHop   netip.Addr   `json:"next_hop"`
	LinkLayer string       `json:"link_layer,omitempty"`
	Preferred Lifetime     `json:"preferred"` // remaining preferred lifetime
	Valid     Lifetime     `json:"valid"`     // remaining valid lifetime
	Expires   time.Time    `json:"expires,omitzero"`
	Lifetime  Lifetime     `json:"lifetime"` // valid lifetime as last granted
	Server    string       `json:"server"`
	Source    string       `json:"source"` // "reply" or "store"; SourceKernel: an orphan, whose client is not known
	Granted   time.Time    `json:"granted"`
	Changed   time.Time    `json:"changed"`
	// Unproved: another client may have the point-to-point link by now. The delegation has
	// neither route nor filter element until the server grants or renews it there.
	Unproved bool `json:"unproved,omitempty"`
}

// IAID is an IAID that may be unknown: leases of DHCPv4 have none, and some messages that tell of
// a delegation do not tell its IAID. In JSON it is a number.
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

// HistoryEntry tells who had a prefix or address, from when to when.
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
	Ended   time.Time    `json:"ended,omitzero"`   // absent: the client still has it
	Reason  string       `json:"reason,omitempty"` // why it ended
}

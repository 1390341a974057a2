package api

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// ReservationAtRunTime is a reservation that an operator has made while the server ran.
type ReservationAtRunTime struct {
	Subnet netip.Prefix `json:"subnet"` // one of server6
	Reservation
	Made time.Time `json:"made"`
	By   string    `json:"by"`
	// Refused says why the reservation does not hold, such as where the configuration file has come
	// to reserve the same address. Empty: it holds.
	Refused string `json:"refused,omitempty"`
}

// ReserveRequest asks for a reservation to be made, or to be ended.
type ReserveRequest struct {
	// Subnet is one of server6. Without it, it is the subnet of the first address or prefix.
	Subnet netip.Prefix `json:"subnet,omitzero"`
	Reservation
	// End ends the reservation of that subnet with exactly these identifiers. A lease that the client
	// has stays.
	End bool `json:"end,omitempty"`
}

// Check refuses a request without a client. The server checks the rest as it checks the
// configuration file.
func (r ReserveRequest) Check() error {
	switch {
	case r.DUID == "" && r.LinkLayer == "" && r.RemoteID == nil && r.RelayID == "":
		return errors.New("a reservation needs a client: by DUID, link-layer address, remote-id, or relay-id with interface-id")
	case r.Subnet.IsValid() && r.Subnet != r.Subnet.Masked():
		return errors.New("subnet: bits are set beyond its length")
	case !r.Subnet.IsValid() && len(r.Addresses) == 0 && len(r.Prefixes) == 0:
		return errors.New("a reservation needs an address or a prefix, or the subnet that it is in")
	}
	return nil
}

// Attrs is the request for logs.
func (r ReserveRequest) Attrs() []slog.Attr {
	a := selectionAttrs(r.Subnet, r.DUID, "")
	if len(r.Addresses) > 0 {
		a = append(a, slog.Any("addresses", r.Addresses))
	}
	if len(r.Prefixes) > 0 {
		a = append(a, slog.Any("prefixes", r.Prefixes))
	}
	if r.End {
		a = append(a, slog.Bool("end", true))
	}
	return a
}

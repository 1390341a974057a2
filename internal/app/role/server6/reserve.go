package server6

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/store"
)

// maxReservations bounds the reservations that are made at run time: with each of them the server
// makes its networks anew.
const maxReservations = 4096

// reservations are those that operators have made at run time, the oldest first. Each is a record of
// the store.
type reservations struct {
	changing sync.Mutex // held while they or the configuration change
	mu       sync.Mutex // guards all
	all      []api.ReservationAtRunTime
}

func (r *reservations) made() []api.ReservationAtRunTime {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

func (r *reservations) set(all []api.ReservationAtRunTime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = all
}

// reservationSpace is what the keys of their records begin with.
var reservationSpace = append([]byte(binding.Server6), 'v')

// reservationKey is the key of a reservation: a hash of its subnet and its identifiers.
func reservationKey(of *api.ReservationAtRunTime) []byte {
	named := api.ReserveRequest{Subnet: of.Subnet, Reservation: of.Reservation}
	named.Addresses, named.Prefixes = nil, nil
	text, _ := json.Marshal(named) // of texts, numbers and a prefix: it cannot fail
	hash := sha256.Sum256(text)
	return append(slices.Clip(reservationSpace), hash[:16]...)
}

// readReservations reads what was kept of them.
func (d *player) readReservations() error {
	var all []api.ReservationAtRunTime
	end := append([]byte(binding.Server6), 'v'+1)
	err := d.House.Store.Scan(reservationSpace, end, func(_, value []byte) bool {
		var one api.ReservationAtRunTime
		if err := json.Unmarshal(value, &one); err != nil {
			d.House.Told.Error("a reservation in the store is not readable and does not hold", "error", err)
			return true
		}
		all = append(all, one)
		return true
	})
	slices.SortFunc(all, func(a, b api.ReservationAtRunTime) int { return a.Made.Compare(b.Made) })
	d.reserved.set(all)
	return err
}

// reservation has the keys of the configuration file.
type reservation struct {
	DUID        api.Identifier `json:"duid,omitempty"`
	LinkLayer   string         `json:"link-layer-address,omitempty"`
	RemoteID    *remoteID      `json:"remote-id,omitempty"`
	RelayID     api.Identifier `json:"relay-id,omitempty"`
	InterfaceID string         `json:"interface-id,omitempty"`
	Addresses   []netip.Addr   `json:"addresses,omitempty"`
	Prefixes    []netip.Prefix `json:"prefixes,omitempty"`
}

type remoteID struct {
	Enterprise uint32 `json:"enterprise"`
	ID         string `json:"id"`
}

// inFile is a reservation as the configuration reads it.
func inFile(r *api.ReservationAtRunTime) config.Reserved6 {
	of := reservation{DUID: r.DUID, LinkLayer: r.LinkLayer, RelayID: r.RelayID, InterfaceID: octets(r.InterfaceID), Addresses: r.Addresses, Prefixes: r.Prefixes}
	if r.RemoteID != nil {
		of.RemoteID = &remoteID{r.RemoteID.Enterprise, octets(r.RemoteID.ID)}
	}
	text, _ := json.Marshal(of) // of texts, numbers and addresses: it cannot fail
	return config.Reserved6{Name: "reservation of " + clientOf(&r.Reservation), Subnet: r.Subnet, Text: string(text)}
}

// octets is an identifier as the configuration file has octets.
func octets(id api.Identifier) string {
	if id == "" {
		return ""
	}
	return "0x" + hex.EncodeToString([]byte(id))
}

// clientOf names the client of a reservation by its identifiers.
func clientOf(r *api.Reservation) string {
	ids := []string{r.LinkLayer}
	for _, id := range []api.Identifier{r.DUID, r.RelayID, r.InterfaceID} {
		ids = append(ids, id.String())
	}
	if r.RemoteID != nil {
		ids = append(ids, r.RemoteID.ID.String())
	}
	return strings.Join(slices.DeleteFunc(ids, func(id string) bool { return id == "" }), ", ")
}

// withReservations is the server's section of a configuration, with what was reserved at run time.
// refused says of each why it does not hold; nil: it holds.
func withReservations(c *config.Config, all []api.ReservationAtRunTime) (s *config.Server6, refused []error) {
	var read []config.Reserved6
	for i := range all {
		read = append(read, inFile(&all[i]))
	}
	return section(c).Reserve(read)
}

// reserve makes or ends a reservation, for the operator named who. It is kept before it holds.
func (d *player) reserve(ctx context.Context, r api.ReserveRequest, who string) (one api.ReservationAtRunTime, err error) {
	d.reserved.changing.Lock()
	defer d.reserved.changing.Unlock()
	if !r.Subnet.IsValid() {
		r.Subnet = section(d.Config()).SubnetOf(first(&r.Reservation))
	}
	one = api.ReservationAtRunTime{Subnet: r.Subnet, Reservation: r.Reservation, Made: time.Now().UTC(), By: who}
	all, op := slices.Clone(d.reserved.made()), store.Op{Key: reservationKey(&one)}
	if r.End {
		at := slices.IndexFunc(all, func(x api.ReservationAtRunTime) bool { return string(reservationKey(&x)) == string(op.Key) })
		if at < 0 {
			return one, fmt.Errorf("%w: no reservation of %s in subnet %s was made at run time", control.ErrInvalid, clientOf(&r.Reservation), r.Subnet)
		}
		one, all = all[at], slices.Delete(all, at, at+1)
	} else {
		if all = append(all, one); len(all) > maxReservations {
			return one, fmt.Errorf("%w: %d reservations were made at run time (further ones in the configuration file)", control.ErrInvalid, maxReservations)
		}
		if _, refused := withReservations(d.Config(), all); refused[len(all)-1] != nil {
			return one, fmt.Errorf("%w: %w", control.ErrInvalid, refused[len(all)-1])
		}
		if op.Value, err = json.Marshal(one); err != nil {
			return one, err
		}
	}
	if err := d.House.Store.Commit([]store.Op{op}); err != nil {
		return one, fmt.Errorf("the store did not keep it, and it does not hold: %w", err)
	}
	d.reserved.set(all)
	err = d.Engine.Call(context.WithoutCancel(ctx), func(_ instant.Now, eff *effect.Effects) {
		d.Engine.Core.Reconfigure(d.coreConfig(d.Config()), eff)
	})
	return one, err
}

// first is the first thing that is reserved.
func first(r *api.Reservation) netip.Prefix {
	switch {
	case len(r.Addresses) > 0:
		return netip.PrefixFrom(r.Addresses[0], r.Addresses[0].BitLen())
	case len(r.Prefixes) > 0:
		return r.Prefixes[0]
	}
	return netip.Prefix{}
}

// listReserved lists the reservations that were made at run time, and why some do not hold.
func (d *player) listReserved(context.Context) ([]api.ReservationAtRunTime, error) {
	all := slices.Clone(d.reserved.made())
	_, refused := withReservations(d.Config(), all)
	for i := range all {
		if refused[i] != nil {
			all[i].Refused = refused[i].Error()
		}
	}
	return all, nil
}

// refusedReservations is how many of them do not hold.
func (d *player) refusedReservations() (n int) {
	_, refused := withReservations(d.Config(), d.reserved.made())
	for _, err := range refused {
		if err != nil {
			n++
		}
	}
	return n
}

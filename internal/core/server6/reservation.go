package server6

import (
	"bytes"
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// reservation is a Reservation in its subnet.
type reservation struct {
	*Reservation
	subnet *subnet
	place  int // its place in the network's configuration; of several that match, the first one applies
	leases [binding.Kinds][]netip.Prefix
}

// reservations are the reservations of a network. Each is in one map, by one of its identifiers.
type reservations struct {
	byDUID, byRemoteID, byRelayID map[string][]*reservation
	byLinkLayer                   map[linkaddr.Addr][]*reservation
	count                         int
}

func newReservations() reservations {
	return reservations{
		byDUID: make(map[string][]*reservation), byRemoteID: make(map[string][]*reservation), byRelayID: make(map[string][]*reservation),
		byLinkLayer: make(map[linkaddr.Addr][]*reservation),
	}
}

// reserve adds a reservation of a subnet.
func (all *reservations) reserve(of *Reservation, sn *subnet) *reservation {
	v := &reservation{Reservation: of, subnet: sn, place: all.count}
	v.leases[binding.Prefix] = of.Prefixes
	for _, a := range of.Addresses {
		v.leases[binding.Address] = append(v.leases[binding.Address], netip.PrefixFrom(a, addressBits))
	}
	all.count++
	switch {
	case len(of.DUID) > 0:
		all.byDUID[string(of.DUID)] = append(all.byDUID[string(of.DUID)], v)
	case of.LinkLayer.IsValid():
		all.byLinkLayer[of.LinkLayer] = append(all.byLinkLayer[of.LinkLayer], v)
	case len(of.RemoteID) > 0:
		all.byRemoteID[string(of.RemoteID)] = append(all.byRemoteID[string(of.RemoteID)], v)
	default:
		all.byRelayID[string(of.RelayID)] = append(all.byRelayID[string(of.RelayID)], v)
	}
	return v
}

// reservationOf is what is reserved for a client in a network; nil if nothing is.
func (all *reservations) reservationOf(r *request) (best *reservation) {
	if all.count == 0 {
		return nil
	}
	best = r.first(best, all.byDUID[string(r.duid)])
	best = r.first(best, all.byLinkLayer[r.linkLayer])
	for i := range r.layers {
		options := r.layers[i].Options()
		if id, ok := options.First(dhcp6.OptionRemoteID); ok {
			best = r.first(best, all.byRemoteID[string(id)])
		}
		if id, ok := options.First(dhcp6.OptionRelayID); ok {
			best = r.first(best, all.byRelayID[string(id)])
		}
	}
	return best
}

// first is the earliest in the configuration among best and those of some that are for the client.
func (r *request) first(best *reservation, some []*reservation) *reservation {
	for _, v := range some {
		if (best == nil || v.place < best.place) && v.isFor(r) {
			best = v
		}
	}
	return best
}

// isFor reports whether all identifiers of a reservation match.
func (v *reservation) isFor(r *request) bool {
	return v.isOf(r) &&
		(len(v.RemoteID) == 0 || slices.ContainsFunc(r.layers, func(m dhcp6.RelayMessage) bool {
			return has(m, dhcp6.OptionRemoteID, v.RemoteID)
		})) &&
		(len(v.RelayID) == 0 || slices.ContainsFunc(r.layers, func(m dhcp6.RelayMessage) bool {
			return has(m, dhcp6.OptionRelayID, v.RelayID) && has(m, dhcp6.OptionInterfaceID, v.InterfaceID)
		}))
}

// isOf reports whether those identifiers of a reservation match that the client itself has: its DUID
// and its link-layer address.
func (v *reservation) isOf(r *request) bool {
	return (len(v.DUID) == 0 || bytes.Equal(v.DUID, r.duid)) && (!v.LinkLayer.IsValid() || v.LinkLayer == r.linkLayer)
}

// has reports whether a relay layer has an option with that payload.
func has(m dhcp6.RelayMessage, c dhcp6.OptionCode, payload []byte) bool {
	b, ok := m.Options().First(c)
	return ok && bytes.Equal(b, payload)
}

// of are the reserved leases of one kind; v may be nil.
func (v *reservation) of(k binding.Kind) []netip.Prefix {
	if v == nil {
		return nil
	}
	return v.leases[k]
}

// lists reports whether a reservation has a lease; v may be nil.
func (v *reservation) lists(p netip.Prefix, k binding.Kind) bool { return slices.Contains(v.of(k), p) }

package ledger

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/binding"
)

// Place is what identifies a delegation in the store and in the kernel.
type Place struct {
	VRF    string
	Prefix netip.Prefix
}

// PlaceOf is the place of a delegation.
func PlaceOf(d *binding.Binding) Place { return Place{d.VRF, d.Prefix} }

// places has one value at each of some places. Its zero value has none.
type places[T any] struct {
	spaces map[string]*bart.Table[T] // by VRF
	n      int
}

func (s *places[T]) get(k Place) (value T, ok bool) {
	if s.n == 0 || s.spaces[k.VRF] == nil {
		return value, false
	}
	return s.spaces[k.VRF].Get(k.Prefix)
}

// put replaces what is at the place.
func (s *places[T]) put(k Place, value T) {
	if s.spaces == nil {
		s.spaces = make(map[string]*bart.Table[T])
	}
	if s.spaces[k.VRF] == nil {
		s.spaces[k.VRF] = new(bart.Table[T])
	}
	if _, has := s.get(k); !has {
		s.n++
	}
	s.spaces[k.VRF].Insert(k.Prefix, value)
}

func (s *places[T]) drop(k Place) {
	if _, has := s.get(k); has {
		s.spaces[k.VRF].Delete(k.Prefix)
		s.n--
	}
}

// overlapping are the places that overlap with a place, itself too.
func (s *places[T]) overlapping(k Place) (found []Place) {
	if s.n == 0 || s.spaces[k.VRF] == nil {
		return nil
	}
	for p := range s.spaces[k.VRF].Supernets(k.Prefix) {
		found = append(found, Place{k.VRF, p})
	}
	for p := range s.spaces[k.VRF].Subnets(k.Prefix) {
		if p != k.Prefix {
			found = append(found, Place{k.VRF, p})
		}
	}
	return found
}

// inOrder yields the places by VRF and prefix. Nothing may be put or dropped meanwhile.
func (s *places[T]) inOrder() iter.Seq[Place] {
	return func(yield func(Place) bool) {
		for _, vrf := range slices.Sorted(maps.Keys(s.spaces)) {
			for p := range s.spaces[vrf].AllSorted() {
				if !yield(Place{vrf, p}) {
					return
				}
			}
		}
	}
}

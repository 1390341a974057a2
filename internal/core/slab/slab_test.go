package slab_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"fairlead/internal/core/slab"
)

type value struct{ a, b uint64 }

// Values come and go by chance, as in a map: each stays what and where it is, and
// new ones are zero.
func TestLikeAMap(t *testing.T) {
	type kept struct {
		at   *value
		want value
	}
	random := rand.New(rand.NewPCG(8987, 1))
	var s slab.Slab[value]
	there, most := map[slab.Ref]kept{}, 0
	var refs []slab.Ref // the keys of there
	for range 20_000 {
		if len(refs) == 0 || random.IntN(1000) >= len(refs) { // there will be about 500
			r, v := s.Add()
			if _, taken := there[r]; taken || r == 0 {
				t.Fatalf("Add gave the number %d, of %d that are taken", r, len(refs))
			}
			if *v != (value{}) {
				t.Fatalf("a new value is %v", *v)
			}
			*v = value{random.Uint64(), random.Uint64()}
			there[r], refs = kept{v, *v}, append(refs, r)
			most = max(most, len(refs))
			if int(r) > most {
				t.Fatalf("Add gave the number %d, but there were never more than %d values", r, most)
			}
			continue
		}
		i := random.IntN(len(refs))
		r := refs[i]
		k := there[r]
		if got := s.At(r); got != k.at || *got != k.want {
			t.Fatalf("value %d is %v at %p, want %v at %p", r, *got, got, k.want, k.at)
		}
		s.Remove(r)
		if *k.at != (value{}) {
			t.Fatalf("value %d was removed and is still %v", r, *k.at)
		}
		delete(there, r)
		refs = slices.Delete(refs, i, i+1)
	}
	if most < 400 {
		t.Fatalf("there were %d values at the most, which are too few to tell", most)
	}
	for r, k := range there {
		if got := s.At(r); got != k.at || *got != k.want {
			t.Errorf("value %d is %v at %p, want %v at %p", r, *got, got, k.want, k.at)
		}
	}
}

// The number that was freed last is given out first: its memory is warm.
func TestLastFreedFirst(t *testing.T) {
	var s slab.Slab[value]
	var refs []slab.Ref
	for range 3 {
		r, _ := s.Add()
		refs = append(refs, r)
	}
	s.Remove(refs[0])
	s.Remove(refs[2])
	for _, want := range []slab.Ref{refs[2], refs[0]} {
		if got, _ := s.Add(); got != want {
			t.Errorf("Add gave %d, want %d", got, want)
		}
	}
}

// Zero names nothing.
func TestNoValue(t *testing.T) {
	var s slab.Slab[value]
	s.Add()
	defer func() {
		if recover() == nil {
			t.Error("At(0) found a value")
		}
	}()
	s.At(0)
}

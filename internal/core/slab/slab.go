// Package slab keeps many values of one type side by side, found by number.
//
// There may be a hundred thousand values and more. Made one by one they would
// each be an object for the garbage collector; here they come in chunks, and a
// chunk of values without pointers costs it nothing. Values refer to each other
// by Ref, which is half of a pointer.
//
// It finds values by their Refs alone; a user that looks for anything else has an index of
// its own. A Slab is not safe for concurrent use. It never gives memory back: it has room
// for as many values as it ever held at once.
package slab

// Ref names a value for as long as it is there. 0 names none.
type Ref uint32

// chunk is how many values are made at once.
const chunk = 256

// Slab holds values. The zero Slab is empty.
type Slab[T any] struct {
	chunks [][]T
	used   Ref   // the highest number given out
	free   []Ref // of those up to used, the last one freed at the end
}

// At is the value that r names, which Add gave. The pointer is good until the
// value is removed; then the value is zero until its number is given out again.
// It panics if r is 0.
func (s *Slab[T]) At(r Ref) *T { return &s.chunks[(r-1)/chunk][(r-1)%chunk] }

// Add makes a zero value. Pointers to others stay good.
func (s *Slab[T]) Add() (Ref, *T) {
	if last := len(s.free) - 1; last >= 0 {
		r := s.free[last]
		s.free = s.free[:last]
		return r, s.At(r)
	}
	if int(s.used)/chunk == len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, chunk))
	}
	s.used++
	return s.used, s.At(s.used)
}

// Remove makes a value zero and lets its number be given out again. The value
// must be there.
func (s *Slab[T]) Remove(r Ref) {
	var zero T
	*s.At(r) = zero
	s.free = append(s.free, r)
}

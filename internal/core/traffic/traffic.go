// Package traffic counts the messages that pass a core: for each link, and for all together.
package traffic

import "fairlead/internal/core/effect"

// Types is the number of message types that are counted apart. Slot 0 is for all others.
const Types = 38

// Counts are the messages of one link.
type Counts struct {
	Received [Types]uint64 // by message type, from clients and relay agents below
	Sent     [Types]uint64 // by message type, to clients and relay agents below
	Drops    [effect.DropCount]uint64
}

// Sum are the messages of all links that ever were.
type Sum struct {
	Counts                           // with Unknown
	Unknown [effect.DropCount]uint64 // datagrams of interfaces that are not known
}

func slot(t byte) byte {
	if t < Types {
		return t
	}
	return 0
}

// Receive counts a message of type t that came in on a link.
func (s *Sum) Receive(link *Counts, t byte) {
	link.Received[slot(t)]++
	s.Received[slot(t)]++
}

// Send counts a message of type t that goes out on a link.
func (s *Sum) Send(link *Counts, t byte) {
	link.Sent[slot(t)]++
	s.Sent[slot(t)]++
}

// Drop counts n datagrams that were discarded on a link; nil is an interface that is not known.
func (s *Sum) Drop(link *Counts, d effect.Drop, n uint64) {
	s.Drops[d] += n
	if link == nil {
		s.Unknown[d] += n
		return
	}
	link.Drops[d] += n
}

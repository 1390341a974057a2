// Package traffic counts the messages that pass a core: for each link, and for all together.
package traffic

import (
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
)

// Types is one more than the highest message type that has a counter of its own. All other types
// are counted as type 0.
const Types = 38

// Counts are the counters of one link.
type Counts struct {
	Received [Types]uint64 // by message type, from clients and relay agents below
	Sent     [Types]uint64 // by message type, to clients and relay agents below
	Drops    [effect.DropCount]uint64
}

// Sum are the counters of all links together, with those that are gone.
type Sum struct {
	Counts                           // its Drops include Unknown
	Unknown [effect.DropCount]uint64 // datagrams that were discarded on interfaces that the core does not know
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

// Discard counts a packet that the core discards on a link, and says so in the Effects. nil and no
// name: on an interface that the core does not know.
func (s *Sum) Discard(link *Counts, name string, p *inbound.Packet, d effect.Drop, eff *effect.Effects) {
	s.Drop(link, d, 1)
	eff.Drop(effect.Dropped{Reason: d, Link: name, Source: p.Source.Addr()})
}

// Drop counts n datagrams that were discarded on a link; nil: on an interface that the core does not
// know.
func (s *Sum) Drop(link *Counts, d effect.Drop, n uint64) {
	s.Drops[d] += n
	if link == nil {
		s.Unknown[d] += n
		return
	}
	link.Drops[d] += n
}

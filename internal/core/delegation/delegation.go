// Package delegation is the policy of a delegating relay on bindings (RFC 8987 section
// 4): what may be learned, what a limit refuses, who may take a prefix over, and when a
// delegation ends. It does not care where knowledge comes from: a Reply, the store, a
// leasequery or an operator; and it sends, keeps and installs nothing.
//
// A delegation is a binding whose prefix the relay routes. Its life:
//
//	        Learn                 Learn (longer)
//	(none) -------> live <------------------------+
//	                 |  \_________________________/
//	                 |  Learn (other holder or link): moved, if the policy agrees
//	                 |  Follow (other address of the holder): moved
//	                 v
//	               ended: expired, released, withdrawn (valid lifetime 0),
//	                      moved away, cleared, evicted
package delegation

import (
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Table holds the live delegations, and what decides about others.
type Table struct {
	*binding.Table
	blocks map[Block]struct{}
	excess excess
	met    met
}

// New is an empty table.
func New() *Table {
	return &Table{Table: binding.NewTable(), blocks: make(map[Block]struct{}), excess: newExcess(), met: make(met)}
}

// Deadline is when the next delegation may end, or what was not installed. It may be too early if
// one was extended since.
func (t *Table) Deadline() instant.Instant {
	at := t.Table.Deadline()
	if len(t.excess.due) > 0 {
		at = min(at, t.excess.due[0].until)
	}
	return at
}

// Expire is binding.Table.Expire, and lets go of what was not installed and has ended.
func (t *Table) Expire(events []binding.Event, now instant.Now) []binding.Event {
	t.excess.expire(now)
	return t.Table.Expire(events, now)
}

// Rename moves all delegations of a link to another name, which the link has now.
func (t *Table) Rename(link, to string) {
	t.Table.Rename(link, to)
	t.excess.rename(link, to)
}

// entry is a delegation in the table.
type entry struct {
	binding.Binding
	slot *binding.Slot
}

// is reports whether two entries are one; old may be nil.
func (e *entry) is(old *entry) bool { return old != nil && e.slot == old.slot }

// at is the slot of an entry; nil if there is none.
func (e *entry) at() *binding.Slot {
	if e == nil {
		return nil
	}
	return e.slot
}

func (t *Table) entry(s *binding.Slot) *entry { return &entry{t.Read(s), s} }

// find is the live delegation of exactly this prefix, or nil.
func (t *Table) find(vrf string, p netip.Prefix) *entry {
	if s := t.At(vrf, p); s != nil {
		return t.entry(s)
	}
	return nil
}

// Grant is what a source says of one prefix or address.
type Grant struct {
	Link, VRF           string
	Prefix              netip.Prefix
	Kind                binding.Kind
	Client              binding.Client
	IAID                uint32
	NoIAID              bool // as in a Binding
	Reconfigures        bool // as in a Binding
	NextHop             netip.Addr
	LinkLayer           linkaddr.Addr // invalid: unknown
	Line                uint32        // that the word came to
	Contested           bool          // several hosts say that NextHop is theirs: LinkLayer is that of the last
	Preferred, Lifetime time.Duration // math.MaxInt64: infinite
	Server              string
	Source              binding.Source
	Exclude             netip.Prefix // as in a Binding
}

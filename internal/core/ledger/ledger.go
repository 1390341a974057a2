// Package ledger turns what happens to bindings into Changes, and what becomes of
// the Changes back into bindings. It numbers the Changes and keeps the order within
// a client; it takes back what was granted and could not be kept, keeps again what the
// store has not got, and remembers what the kernel did not take. It belongs to a core
// and to its goroutine.
//
// A Change is made by Commit, or by Tell where a message tells a client of it: what
// such a message takes from its client is kept once the message has left (follow.go).
// What clients know already, or are told whatever becomes of it, is Told. Settle hears
// what became of a Change (undo.go).
package ledger

import (
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
)

// Core is what a ledger asks the core that it belongs to.
type Core struct {
	// ForKernel is what a delegation wants of the kernel.
	ForKernel func(*binding.Binding) hoststate.Delegation
	// InKernel reports whether the bindings of a link want anything of the kernel at all;
	// nil: those of all links do.
	InKernel func(link string) bool
	// Cover appends what else the kernel is to hold now that a delegation was put into
	// the wanted state, or taken out of it: for what lies in its prefix and is not its
	// client's. nil: nothing.
	Cover func([]hoststate.Op, *binding.Binding) []hoststate.Op
	// Record is the value of a record of the core's own as it is now, nil where it
	// is not there any more. nil: the core has no such records.
	Record func(key string) []byte
	// TakenBack hears of each grant that was taken back because it could not be kept, and
	// that has left its prefix to nobody. nil: nobody hears of it.
	TakenBack func(*binding.Binding)
	// Stays hears of each binding that a message was to take from its client and that its
	// client keeps, because the message waited for what could not be kept, and was given up.
	// nil: such a binding ends all the same. It is another's word that ends it.
	Stays func(*binding.Binding)
}

// Records say how delegations are kept.
type Records struct {
	// Minimal leaves out of the store what no decision needs: when a client
	// began, when its delegation changed, and which server gave it.
	Minimal bool
	// NoHistory keeps nothing of what has ended.
	NoHistory bool
	// MaskPast takes out of a delegation that has ended what its record in the
	// history is not to say. nil: nothing.
	MaskPast func(*binding.Binding)
	// Shared says that others write into the store too: a grant is kept only where
	// the store has no record of its prefix, and what extends a grant that is not
	// durable yet only where the record is the grant's.
	Shared bool
}

// Client is a client on a link: its datagrams keep their order.
type Client struct {
	Link string
	ID   binding.Client
}

// Place is where a delegation is kept and installed.
type Place struct {
	VRF    string
	Prefix netip.Prefix
}

// PlaceOf is the place of a delegation.
func PlaceOf(d *binding.Binding) Place { return Place{d.VRF, d.Prefix} }

// Ledger is the Changes of one core that are under way, and what they have left
// behind. The table and the wanted state of the kernel are the core's.
type Ledger struct {
	table   *binding.Table
	host    *hoststate.State
	core    Core
	in      binding.Space
	bootID  string
	records Records

	lastChange effect.ChangeID
	historySeq uint16
	wallKept   time.Time // the newest wall time that was given to be kept

	pending     map[effect.ChangeID]*pending
	ordered     map[Client]effect.ChangeID     // a client's newest unfinished change
	following   map[effect.ChangeID]*following // what is kept once a change's datagrams have left
	waiting     waiting                        // the same, by its place
	unkept      map[Place]struct{}             // delegations that the store has not got as they are
	lacking     map[string]struct{}            // keys of the core's own records that it has not got
	retryAt     instant.Instant                // means something while there are such
	uninstalled map[Place]struct{}

	progress  Progress // its counters alone
	takenBack uint64   // grants
	rooms     rooms
}

// Progress is what is under way and what failed. Operators read it as
// api.Progress, which has the same fields: one more here does not compile until it
// has a name there.
type Progress struct {
	Pending       int    // changes whose outcome is not known
	Unkept        int    // delegations that the store has not got as they are
	Uninstalled   int    // delegations without their route or filter element, because the kernel did not take it
	KeepFailed    uint64 // changes that the store did not take
	InstallFailed uint64 // operations that the kernel did not take
}

// New is the ledger of a core with its table, its wanted state of the kernel and its
// space in the store, in one boot. A core that wants nothing of the kernel has no host.
func New(table *binding.Table, host *hoststate.State, core Core, in binding.Space, bootID string) *Ledger {
	return &Ledger{
		table: table, host: host, core: core, in: in, bootID: bootID,
		pending:     make(map[effect.ChangeID]*pending),
		ordered:     make(map[Client]effect.ChangeID),
		following:   make(map[effect.ChangeID]*following),
		unkept:      make(map[Place]struct{}),
		lacking:     make(map[string]struct{}),
		uninstalled: make(map[Place]struct{}),
	}
}

// inKernel reports whether the bindings of a link want anything of the kernel.
func (l *Ledger) inKernel(link string) bool {
	return l.host != nil && (l.core.InKernel == nil || l.core.InKernel(link))
}

// cover is Core.Cover.
func (l *Ledger) cover(ops []hoststate.Op, d *binding.Binding) []hoststate.Op {
	if l.core.Cover == nil {
		return ops
	}
	return l.core.Cover(ops, d)
}

// Configure says how delegations are kept from now on.
func (l *Ledger) Configure(r Records) { l.records = r }

// Succeed makes l, which is new, the successor of the ledger of a core that panicked:
// its Changes are numbered after the old ones, and its figures go on.
func (l *Ledger) Succeed(old *Ledger) {
	l.lastChange, l.historySeq, l.lacking = old.lastChange, old.historySeq, old.lacking
	l.progress, l.takenBack = old.progress, old.takenBack
}

// LastChange is the newest change there is.
func (l *Ledger) LastChange() effect.ChangeID { return l.lastChange }

// Progress is the progress now.
func (l *Ledger) Progress() Progress {
	p := l.progress
	p.Pending, p.Unkept, p.Uninstalled = len(l.pending), len(l.unkept), len(l.uninstalled)
	return p
}

// TakenBack is how many grants were taken back because they could not be kept.
func (l *Ledger) TakenBack() uint64 { return l.takenBack }

// Pending reports whether the outcome of a change is not known yet.
func (l *Ledger) Pending(id effect.ChangeID) bool { return l.pending[id] != nil }

// Unordered reports whether no client has an unfinished change.
func (l *Ledger) Unordered() bool { return len(l.ordered) == 0 }

// Last is a client's newest unfinished change, or 0.
func (l *Ledger) Last(k Client) effect.ChangeID { return l.ordered[k] }

// Lack has the next Tick keep what is, or is not any more, at a place.
func (l *Ledger) Lack(k Place) {
	l.unkept[k] = struct{}{}
	l.retryAt = 0
}

// LackRecord has the next Tick keep a record of the core's own as it is then.
func (l *Ledger) LackRecord(key []byte) {
	l.lacking[string(key)] = struct{}{}
	l.retryAt = 0
}

// Deadline is when Tick has something to keep again.
func (l *Ledger) Deadline() instant.Instant {
	if len(l.unkept)+len(l.lacking) == 0 {
		return instant.Never
	}
	return l.retryAt
}

// Tick keeps again what the store has not got, if it is time.
func (l *Ledger) Tick(now instant.Now, eff *effect.Effects) {
	if l.Deadline() <= now.Boot {
		l.keepAgain(now, eff)
	}
}

// Install makes a Change of operations that need no keeping.
func (l *Ledger) Install(ops []hoststate.Op, eff *effect.Effects) {
	if len(ops) > 0 {
		l.change(effect.Change{Host: ops}, &pending{}, eff)
	}
}

// Keep makes a Change of records of the core's own, which are not kept again if it
// fails.
func (l *Ledger) Keep(ops []effect.KeepOp, eff *effect.Effects) {
	if len(ops) > 0 {
		l.change(effect.Change{Keep: ops}, &pending{}, eff)
	}
}

// KeepRecord makes a Change of a record of the core's own as it is now, which is kept again if
// it fails.
func (l *Ledger) KeepRecord(key []byte, eff *effect.Effects) effect.ChangeID {
	op := effect.KeepOp{Key: key, Value: l.core.Record(string(key))}
	return l.change(effect.Change{Keep: []effect.KeepOp{op}}, &pending{records: []string{string(key)}}, eff)
}

// Rehome moves what a link holds to the VRF that the link is in, as far as its prefixes
// are free there. The next Tick keeps that.
func (l *Ledger) Rehome(link, vrf string) {
	var away []Place
	for d := range l.table.OnLink(link) {
		if d.VRF != vrf {
			away = append(away, PlaceOf(&d))
		}
	}
	for _, k := range away {
		if l.table.Rehome(k.VRF, k.Prefix, vrf) {
			l.Lack(k)
			l.Lack(Place{VRF: vrf, Prefix: k.Prefix})
		}
	}
}

// PutAll brings what the bindings on a link want of the kernel up to date after the link has
// come to another VRF. Those that it could not take along want nothing.
func (l *Ledger) PutAll(ops []hoststate.Op, link, vrf string) []hoststate.Op {
	for d := range l.table.OnLink(link) {
		if d.VRF != vrf {
			ops = l.deleted(ops, &d)
		} else {
			ops = l.cover(l.host.Put(ops, l.core.ForKernel(&d)), &d)
		}
	}
	return ops
}

// Rename gives a link its new name in all that the outcomes of changes will be held
// against. It comes before the table is told: the next Tick keeps under the new name
// what the link holds.
func (l *Ledger) Rename(old, name string) {
	for d := range l.table.OnLink(old) {
		l.Lack(PlaceOf(&d))
	}
	ordered := make(map[Client]effect.ChangeID, len(l.ordered))
	for k, id := range l.ordered {
		if k.Link == old {
			k.Link = name
		}
		ordered[k] = max(ordered[k], id)
	}
	l.ordered = ordered
	for _, f := range l.following {
		for i := range f.events {
			for _, d := range [...]*binding.Binding{&f.events[i].Old, &f.events[i].New} {
				if d.Link == old {
					d.Link = name
				}
			}
		}
	}
	for _, p := range l.pending {
		if p.order.Link == old {
			p.order.Link = name
		}
		for i := range p.deeds {
			d := &p.deeds[i]
			if d.link == old {
				d.link = name
			}
			if d.old != nil && d.old.Link == old {
				d.old.Link = name
			}
		}
	}
}

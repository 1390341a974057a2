// Package ledger turns events of bindings into Changes, and changes the bindings where a Change
// fails. It numbers the Changes and keeps the order of each client's Changes. It takes back grants
// that could not be kept, tries again to keep what the store does not have, and remembers what the
// kernel did not take. A ledger belongs to a core and to its goroutine.
//
// Commit makes a Change. Tell makes Changes of events that a message tells a client of: what the
// message takes from its client is kept once the message has left (follow.go). Told is for events
// that clients know already, or are told by a message that does not wait. Settle takes in the
// outcome of a Change (undo.go).
package ledger

import (
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
)

// Core is what a ledger asks the core that it belongs to.
type Core struct {
	// ForKernel is what the kernel is to have for a delegation.
	ForKernel func(*binding.Binding) hoststate.Delegation
	// InKernel reports whether the kernel is to have anything for the bindings on a link;
	// nil: it is for all links.
	InKernel func(link string) bool
	// Covering has the parts of delegations that their clients do not get. nil: there are none.
	Covering *Covering
	// Record is the value of one of the core's own records as it is now; it returns nil if the
	// record is to be removed. nil: the core has no records of its own.
	Record func(key string) []byte
	// TakenBack is called for each grant that was taken back because it could not be kept, if
	// nobody has the prefix now. nil: the core need not know.
	TakenBack func(*binding.Binding)
	// Stays is called for each binding that stays with its client, although a message was to take
	// it: the message waited for a Change that could not be kept, and was given up. nil: such a
	// binding ends nevertheless, because not the core but a server has ended it.
	Stays func(*binding.Binding)
}

// Records say how delegations are kept.
type Records struct {
	// Minimal leaves out what no decision needs: when a delegation was granted, when it last
	// changed, and which server gave it.
	Minimal bool
	// NoHistory keeps no records of delegations that have ended.
	NoHistory bool
	// MaskPast removes from a delegation that has ended what its record in the history must not
	// have. nil: nothing.
	MaskPast func(*binding.Binding)
	// Shared says that others write into the store, too. Then a grant is kept only if the store
	// has no record of its prefix, and what extends a grant that is not durable yet only if the
	// record is that grant's.
	Shared bool
}

// Client is a client on a link. Its datagrams keep their order.
type Client struct {
	Link string
	ID   binding.Client
}

// Ledger has the Changes of one core that are under way, and what has to be tried again. The table
// and the wanted state of the kernel belong to the core.
type Ledger struct {
	table   *binding.Table
	host    *hoststate.State
	core    Core
	in      binding.Space
	bootID  string
	records Records

	lastChange effect.ChangeID
	historySeq uint16
	wallKept   time.Time // the newest wall time that a Change has

	pending     map[effect.ChangeID]*pending
	ordered     map[Client]effect.ChangeID     // the client's newest unfinished Change
	following   map[effect.ChangeID]*following // what is kept once the datagrams of a Change have left
	waiting     waiting                        // the same events, by their place
	unkept      places[struct{}]               // delegations that are not in the store as they are now
	ending      places[int]                    // delegations whose ends are in pending Changes: in how many
	lacking     map[string]struct{}            // keys of the core's own records that are not in the store as they are now
	joining     []string                       // keys of the core's own records for the next Change
	retryAt     instant.Instant                // when both are tried again; without meaning if both are empty
	uninstalled map[Place]struct{}
	orphansEnd  instant.Instant // means something while there are orphans

	progress  Progress // only its counters are used
	takenBack uint64   // how many grants were taken back
	rooms     rooms
}

// Progress is what is under way and what failed. Operators see it as api.Progress, which has the
// same fields. A new field here does not compile until api.Progress has it, too.
type Progress struct {
	Pending       int    // Changes whose outcome is not known
	Unkept        int    // delegations that are not in the store as they are now
	Uninstalled   int    // delegations without their route or filter element, because the kernel did not take it
	KeepFailed    uint64 // Changes that the store did not take
	InstallFailed uint64 // operations that the kernel did not take
}

// New is a new ledger of a core. It is given the core's table, its wanted state of the kernel (nil:
// the core wants nothing there), its space in the store, and the id of the present boot.
func New(table *binding.Table, host *hoststate.State, core Core, in binding.Space, bootID string) *Ledger {
	return &Ledger{
		table: table, host: host, core: core, in: in, bootID: bootID,
		pending:     make(map[effect.ChangeID]*pending),
		ordered:     make(map[Client]effect.ChangeID),
		following:   make(map[effect.ChangeID]*following),
		lacking:     make(map[string]struct{}),
		uninstalled: make(map[Place]struct{}),
	}
}

// inKernel reports whether the kernel is to have anything for the bindings on a link.
func (l *Ledger) inKernel(link string) bool {
	return l.host != nil && (l.core.InKernel == nil || l.core.InKernel(link))
}

// cover is Covering.Cover.
func (l *Ledger) cover(ops []hoststate.Op, d *binding.Binding) []hoststate.Op {
	if l.core.Covering == nil {
		return ops
	}
	return l.core.Covering.Cover(ops, d)
}

// Configure says how delegations are kept from now on.
func (l *Ledger) Configure(r Records) { l.records = r }

// Succeed makes l, which is new, the successor of the ledger of a core that panicked. The numbers of
// its Changes come after the old ones, its figures continue the old ones, and what was an orphan is
// one still.
func (l *Ledger) Succeed(old *Ledger) {
	l.lastChange, l.historySeq, l.lacking = old.lastChange, old.historySeq, old.lacking
	l.progress, l.takenBack = old.progress, old.takenBack
	l.adoptAs(old)
}

// LastChange is the number of the newest Change.
func (l *Ledger) LastChange() effect.ChangeID { return l.lastChange }

// Progress is what is under way now, and what has failed.
func (l *Ledger) Progress() Progress {
	p := l.progress
	p.Pending, p.Unkept, p.Uninstalled = len(l.pending), l.unkept.n, len(l.uninstalled)
	return p
}

// TakenBack is how many grants were taken back because they could not be kept.
func (l *Ledger) TakenBack() uint64 { return l.takenBack }

// Pending reports whether the outcome of a Change is not known yet.
func (l *Ledger) Pending(id effect.ChangeID) bool { return l.pending[id] != nil }

// Unordered reports whether no client has an unfinished Change.
func (l *Ledger) Unordered() bool { return len(l.ordered) == 0 }

// Last is a client's newest unfinished Change, or 0.
func (l *Ledger) Last(k Client) effect.ChangeID { return l.ordered[k] }

// Lack makes the next Tick keep the delegation of a place as it is then, or remove its record if
// there is none.
func (l *Ledger) Lack(k Place) {
	l.unkept.put(k, struct{}{})
	l.retryAt = 0
}

// LackRecord makes the next Tick keep one of the core's own records as it is then.
func (l *Ledger) LackRecord(key []byte) {
	l.lacking[string(key)] = struct{}{}
	l.retryAt = 0
}

// Deadline is when Tick has something to do.
func (l *Ledger) Deadline() instant.Instant { return min(l.keepDue(), l.orphansDue()) }

// keepDue is when something is to be kept again.
func (l *Ledger) keepDue() instant.Instant {
	if l.unkept.n+len(l.lacking) == 0 {
		return instant.Never
	}
	return l.retryAt
}

// Tick tries again to keep what the store does not have, and ends orphans, if it is time.
func (l *Ledger) Tick(now instant.Now, eff *effect.Effects) {
	if l.keepDue() <= now.Boot {
		l.keepAgain(now, eff)
	}
	l.endOrphansInTime(now, eff)
}

// Install makes a Change of operations that go with nothing to keep.
func (l *Ledger) Install(ops []hoststate.Op, eff *effect.Effects) {
	if len(ops) > 0 {
		l.change(effect.Change{Host: ops}, &pending{}, eff)
	}
}

// Keep makes a Change of records of the core's own. If it fails, it is not tried again.
func (l *Ledger) Keep(ops []effect.KeepOp, eff *effect.Effects) {
	if len(ops) > 0 {
		l.change(effect.Change{Keep: ops}, &pending{}, eff)
	}
}

// KeepRecord makes a Change of one of the core's own records as it is now. If it fails, it is tried
// again.
func (l *Ledger) KeepRecord(key []byte, eff *effect.Effects) effect.ChangeID {
	op := effect.KeepOp{Key: key, Value: l.core.Record(string(key))}
	return l.change(effect.Change{Keep: []effect.KeepOp{op}}, &pending{records: []string{string(key)}}, eff)
}

// Join has the next Change that events make keep a record of the core's own too, as it is now then. So a crash
// leaves both in the store, or neither.
func (l *Ledger) Join(key []byte) { l.joining = append(l.joining, string(key)) }

// Rehome moves the bindings on a link to the VRF that the link is in. A binding whose prefix is not
// free there stays where it is. The next Tick keeps that.
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

// SetLink takes in the present state of a link, for its bindings and for the kernel. elsewhere says
// that some of the bindings on it may be in another VRF. SetLink appends to ops, and returns the
// line of the link (hoststate.State.Line).
func (l *Ledger) SetLink(ops []hoststate.Op, link *links.Link, elsewhere bool) ([]hoststate.Op, uint32) {
	l.Rehome(link.Name, link.VRF)
	ops = l.host.SetLink(ops, link)
	if elsewhere {
		ops = l.putAll(ops, link.Name, link.VRF)
	}
	return ops, l.host.Line(link.Name)
}

// putAll updates the wanted state of the kernel for the bindings on a link, after the link has come
// to another VRF. For bindings that could not move along (Rehome) the kernel is to have nothing.
func (l *Ledger) putAll(ops []hoststate.Op, link, vrf string) []hoststate.Op {
	for d := range l.table.OnLink(link) {
		if d.VRF != vrf {
			ops = l.deleted(ops, &d)
		} else {
			ops = l.cover(l.host.Put(ops, l.core.ForKernel(&d)), &d)
		}
	}
	return ops
}

// Policies sets the policies of links in the wanted state of the kernel (hoststate.State.SetPolicy),
// as the configuration has them. It appends to ops.
type Policies func(ops []hoststate.Op, link string) []hoststate.Op

// SetAbsentPolicies sets the policies of the links that have bindings and no interface now. The
// filter keeps the names of these links, and their delegations have stand-in routes.
func (l *Ledger) SetAbsentPolicies(set Policies, eff *effect.Effects) {
	for name := range l.table.Links() {
		if _, there := l.host.VRF(name); !there && l.inKernel(name) {
			l.Install(set(nil, name), eff)
		}
	}
}

// Restored is called once the table has the bindings of the store. SetLink was called for all links
// before. The routes and filter elements that are wanted are not in the Effects: a comparison finds
// which of them the kernel lacks.
func (l *Ledger) Restored(set Policies, eff *effect.Effects) {
	for _, name := range slices.Collect(l.table.Links()) {
		if vrf, there := l.host.VRF(name); there {
			l.Rehome(name, vrf)
		}
	}
	l.SetAbsentPolicies(set, eff)
	l.putRestored(eff)
	if l.table.Waiting() > 0 {
		eff.Note(effect.Note{Kind: effect.NoteClock, Text: "wall clock cannot be trusted yet: nothing that was restored expires before its whole lifetime has passed"})
	}
}

// putRestored adds what the kernel is to have for the restored bindings.
func (l *Ledger) putRestored(eff *effect.Effects) {
	covering := l.core.Covering
	for d := range l.table.All() {
		if !l.inKernel(d.Link) {
			continue
		}
		if !l.host.IsElsewhere(d.Link, d.VRF) {
			l.host.PutSilently(l.core.ForKernel(&d))
		}
		if covering != nil {
			covering.Restored(&d)
		}
	}
	if covering == nil {
		return
	}
	for _, name := range covering.Links() {
		l.Install(covering.Update(nil, name), eff)
	}
}

// PutAnew brings what all bindings want of the kernel up to date after the configuration has
// changed.
func (l *Ledger) PutAnew(eff *effect.Effects) {
	for d := range l.table.All() {
		if l.inKernel(d.Link) && !l.host.IsElsewhere(d.Link, d.VRF) {
			l.Install(l.host.Put(nil, l.core.ForKernel(&d)), eff)
		}
	}
}

// Rename gives a link its new name in everything that Settle will need. It has to be called before
// the table renames the link. The next Tick keeps the bindings on the link with the new name.
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
	if l.core.Covering != nil {
		l.core.Covering.rename(old, name)
	}
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

package relay6

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
)

// orderKey is a client on a link: its datagrams keep their order.
type orderKey struct{ link, client string }

// placeKey is where a delegation is kept and installed.
type placeKey struct {
	vrf    string
	prefix netip.Prefix
}

// pending is a change whose outcome is not known yet, and what undoes it.
type pending struct {
	deeds  []deed
	grants bool // something in it is not durable until it is kept
	builds bool // it extends what an unfinished change grants
	order  orderKey

	trace        *effect.Note // of the message that waits for it, where that is traced
	traceExtends bool
	addresses    []string // links whose settled addresses are in it
}

// durable reports whether nothing is lost if the change is not kept.
func (p *pending) durable() bool { return p == nil || !p.grants && !p.builds }

// deed is one event of a pending change.
type deed struct {
	kind         delegation.EventKind
	place        placeKey
	link, client string                 // whose the delegation is now
	old          *delegation.Delegation // what was in its place, if it moved
}

// commit turns events of the table into one Change: what to keep, then what to
// install. It returns 0 where there is nothing to do.
func (r *Relay) commit(now instant.Now, events []delegation.Event, eff *effect.Effects) effect.ChangeID {
	if len(events) == 0 {
		return 0
	}
	d := r.draft(len(events))
	for i := range events {
		eff.NoteEvent(&events[i], events[i].Subject())
		r.enter(now, &d, &events[i])
	}
	return r.submit(now, d, eff)
}

// draft is a change in the making.
type draft struct {
	effect.Change
	p *pending
}

func (r *Relay) draft(events int) draft {
	return draft{
		Change: effect.Change{Keep: r.rooms.operations(events + 1)},
		p:      &pending{deeds: make([]deed, 0, events)},
	}
}

func (d *draft) empty() bool { return len(d.Keep) == 0 && len(d.Host) == 0 }

// enter adds an event to a change.
func (r *Relay) enter(now instant.Now, d *draft, e *delegation.Event) {
	switch e.Kind {
	case delegation.Ended:
		d.Keep = r.keepPast(append(d.Keep, r.forgetOp(&e.Old)), now, &e.Old, e.Reason)
		d.Host = r.host.Delete(d.Host, e.Old.Link, e.Old.Prefix)
		delete(r.uninstalled, place(&e.Old))
	case delegation.Moved:
		d.Keep = r.keepPast(d.Keep, now, &e.Old, delegation.MovedAway)
		fallthrough
	case delegation.Granted:
		d.p.grants = true
		fallthrough
	case delegation.Extended:
		d.Keep = append(d.Keep, r.keepOp(now, &e.New))
		d.Host = r.hostOps(d.Host, e)
	default:
		return
	}
	d.p.deeds = append(d.p.deeds, deedOf(e, e.Subject()))
	if r.waiting.n > 0 {
		r.overtake(now, d, e)
	}
}

// submit hands a change over, if there is anything in it.
func (r *Relay) submit(now instant.Now, d draft, eff *effect.Effects) effect.ChangeID {
	if d.empty() {
		return 0
	}
	// A clock that is not synchronised says nothing of when it was.
	if since := now.Wall.Sub(r.wallKept); now.Synced && (since < 0 || since >= wallEvery) {
		d.Keep = append(d.Keep, clockOp(now))
		r.wallKept = now.Wall
	}
	return r.change(d.Change, d.p, eff)
}

// hostOps appends what installs a delegation that was granted, extended or moved.
func (r *Relay) hostOps(ops []hoststate.Op, e *delegation.Event) []hoststate.Op {
	if !r.changesHost(e) {
		return ops
	}
	if r.isUninstalled(&e.New) {
		ops = r.host.Delete(ops, e.New.Link, e.New.Prefix)
		delete(r.uninstalled, place(&e.New))
	}
	ops = r.host.Put(ops, r.lease(&e.New))
	if e.Kind == delegation.Moved && e.Old.Link != e.New.Link { // after Put, so that the route is never away
		ops = r.host.Delete(ops, e.Old.Link, e.Old.Prefix)
	}
	return ops
}

// changesHost reports whether an event asks anything of the kernel, which knows
// nothing of lifetimes.
func (r *Relay) changesHost(e *delegation.Event) bool {
	return e.Kind != delegation.Extended || e.Old.NextHop != e.New.NextHop || e.Old.LinkLayer != e.New.LinkLayer ||
		e.Old.Line != e.New.Line || r.isUninstalled(&e.New)
}

func (r *Relay) isUninstalled(d *delegation.Delegation) bool {
	if len(r.uninstalled) == 0 {
		return false
	}
	_, missing := r.uninstalled[place(d)]
	return missing
}

func deedOf(e *delegation.Event, subject *delegation.Delegation) deed {
	d := deed{kind: e.Kind, place: place(subject), link: subject.Link, client: subject.Client}
	if e.Kind == delegation.Moved {
		old := e.Old
		d.old = &old
	}
	return d
}

func (r *Relay) change(c effect.Change, p *pending, eff *effect.Effects) effect.ChangeID {
	r.lastChange++
	c.ID = r.lastChange
	r.pending[c.ID] = p
	eff.Changes = append(eff.Changes, c)
	return c.ID
}

// install makes a Change of operations that need no keeping.
func (r *Relay) install(ops []hoststate.Op, eff *effect.Effects) {
	if len(ops) > 0 {
		r.change(effect.Change{Host: ops}, &pending{}, eff)
	}
}

// inOrder is the change that a client's next datagram waits for: its own, or the
// client's newest unfinished one, so that datagrams do not overtake each other.
func (r *Relay) inOrder(k orderKey, own effect.ChangeID, extends *bool) effect.ChangeID {
	prior := r.ordered[k]
	if !r.pending[prior].durable() {
		*extends = false // what it extends is not durable yet
		if own != 0 {
			r.pending[own].builds = true
		}
	}
	if own == 0 {
		return prior
	}
	r.ordered[k] = own
	r.pending[own].order = k
	return own
}

func (r *Relay) lease(d *delegation.Delegation) hoststate.Lease {
	var rule *LinkRule
	if l := r.byName[d.Link]; l != nil && l.rule != nil {
		rule = l.rule
	} else {
		rule = r.ruleFor(d.Link)
	}
	return hoststate.Lease{
		Link: d.Link, Prefix: d.Prefix, NextHop: d.NextHop, LinkLayer: d.LinkLayer, Line: d.Line,
		LoopExempt: rule != nil && rule.loopExempt(d.Client),
	}
}

func place(d *delegation.Delegation) placeKey { return placeKey{d.VRF, d.Prefix} }

func (r *Relay) keepOp(now instant.Now, d *delegation.Delegation) effect.KeepOp {
	if r.cfg.KeepMinimal {
		needed := *d
		needed.Granted, needed.Changed, needed.Server = time.Time{}, time.Time{}, ""
		d = &needed
	}
	key := delegation.Key(r.rooms.record(), d.VRF, d.Prefix)
	both := delegation.AppendRecord(key, d, now, r.bootID)
	r.rooms.taken(both)
	return effect.KeepOp{Key: both[:len(key):len(key)], Value: both[len(key):len(both):len(both)]}
}

func (r *Relay) forgetOp(d *delegation.Delegation) effect.KeepOp {
	return effect.KeepOp{Key: delegation.Key(nil, d.VRF, d.Prefix)}
}

// keepPast appends the record of who had what until when, if a history is kept.
// The key sorts by the end; a sequence number keeps ends of one instant apart.
func (r *Relay) keepPast(ops []effect.KeepOp, now instant.Now, d *delegation.Delegation, why delegation.Reason) []effect.KeepOp {
	if r.cfg.NoHistory {
		return ops
	}
	r.historySeq++
	key := binary.BigEndian.AppendUint64([]byte{'h'}, uint64(now.Wall.UnixNano()))
	key = binary.BigEndian.AppendUint16(key, r.historySeq)
	past := *d
	if r.cfg.MaskPast != nil {
		r.cfg.MaskPast(&past)
	}
	return append(ops, effect.KeepOp{Key: key, Value: delegation.AppendRecord(pastReason(why.String()), &past, now, r.bootID)})
}

// pastReason is what the record of an ended delegation begins with.
func pastReason(reason string) []byte {
	return append([]byte{byte(len(reason))}, reason...)
}

// HistoryRange is the range of keys of what ended in [from, to).
func HistoryRange(from, to time.Time) (lo, hi []byte) {
	edge := func(t time.Time) []byte {
		return binary.BigEndian.AppendUint64([]byte{'h'}, uint64(max(0, t.UnixNano())))
	}
	return edge(from), edge(to)
}

// IsPast reports whether a key is one of the history.
func IsPast(key []byte) bool { return len(key) == pastKey && key[0] == 'h' }

// pastKey is the length of a key of the history: its letter, the instant of the
// end, a sequence number.
const pastKey = 1 + 8 + 2

// Past is one delegation that ended.
type Past struct {
	delegation.Record
	Ended  time.Time
	Reason string
}

// ParsePast reads one record of the history.
func ParsePast(key, value []byte) (Past, error) {
	if len(key) != pastKey || len(value) < 1 || len(value) < 1+int(value[0]) {
		return Past{}, delegation.ErrRecord
	}
	rec, err := delegation.ParseRecord(value[1+int(value[0]):])
	if err != nil {
		return Past{}, err
	}
	return Past{Record: rec, Ended: time.Unix(0, int64(binary.BigEndian.Uint64(key[1:]))), Reason: string(value[1 : 1+int(value[0])])}, nil
}

// Value is the record as it is kept under its key.
func (p *Past) Value() []byte { return p.Append(pastReason(p.Reason)) }

var clockKey = []byte("m/wall")

// wallEvery is how exactly the last instant kept is kept: a clock that comes back
// less than that behind is not noticed.
const wallEvery = time.Second

// ClockKey is where the last instant kept is kept.
func ClockKey() []byte { return clockKey }

func clockOp(now instant.Now) effect.KeepOp {
	return effect.KeepOp{Key: clockKey, Value: binary.BigEndian.AppendUint64(nil, uint64(now.Wall.UnixNano()))}
}

// ParseClock reads the last instant kept; the zero time if there is none.
func ParseClock(value []byte) time.Time {
	if len(value) != 8 {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(value)))
}

// Settle takes in what became of a Change, once all datagrams of its Effects that
// name it have left or were given up.
func (r *Relay) Settle(now instant.Now, o effect.Outcome, eff *effect.Effects) {
	p := r.pending[o.ID]
	if p == nil {
		return
	}
	delete(r.pending, o.ID)
	if r.ordered[p.order] == o.ID {
		delete(r.ordered, p.order)
	}
	if p.trace != nil {
		r.traceOutcome(eff, p, o)
	}
	if o.Keep != nil {
		r.failures.Keep++
		eff.Note(effect.Note{Kind: effect.NoteStore, Text: "not kept", Err: o.Keep})
		r.undo(now, o.ID, p, eff)
	}
	if f := r.following[o.ID]; f != nil {
		delete(r.following, o.ID)
		r.follow(now, f, eff)
	}
	for _, f := range o.Install {
		r.failures.Install++
		r.notInstalled(f, eff)
	}
}

// notInstalled deals with an operation that the kernel did not take. A unicast
// route over a device that is down or gone gets its stand-in; anything else is
// left to the audit, and is tried again when the lease is next granted.
func (r *Relay) notInstalled(f effect.FailedOp, eff *effect.Effects) {
	if f.Op.Route != nil && !f.Op.Remove && errors.Is(f.Err, effect.ErrRefused) {
		r.install(r.host.Refused(nil, *f.Op.Route), eff)
		return
	}
	eff.Note(effect.Note{Kind: effect.NoteForeign, Text: "not installed", Err: f.Err})
	if f.Op.Remove {
		return
	}
	prefix := netip.Prefix{}
	switch {
	case f.Op.Route != nil:
		prefix = f.Op.Route.Prefix
	case f.Op.Element != nil:
		prefix = f.Op.Element.Prefix
	}
	for vrf := range r.table.VRFs() {
		if d, ok := r.table.Lookup(vrf, prefix); ok {
			r.uninstalled[place(&d)] = struct{}{}
		}
	}
}

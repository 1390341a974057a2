package kernel

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/nft"
)

// comparer compares the kernel with what is wanted: on a slow timer, and soon after an event that
// may have made them differ, such as a change of another program, which the kernel reports.
//
// The kernel needs seconds to list large sets. So on the slow timer, the filter is not read if no
// other program has changed nftables since the last reading and nothing of ours has failed: then
// the filter is as the core believes. If a program changes nftables all the time, such as one that
// bans addresses, the filter is read each time.
type comparer struct {
	log     *slog.Logger // its warnings are also events for those who watch
	quiet   *slog.Logger // for warnings of which the comparer makes events itself
	limiter *notes.Limiter
	feed    *control.Feed
	every   func() time.Duration // host.compare; 0: never
	parts   []compared
	version func() (nft.Version, error)
	mend    func() (bool, error) // of the filter's rules; true: another program had changed them
	actual  func() (*hoststate.Reading, error)
	routes  func() ([]hoststate.Route, error)
	takeOut func([]hoststate.Op) error // carries out removals that belong to no part
	listen  func() (notices, error)
	due     chan struct{}
	changed chan struct{}
	late    chan struct{}
	own     *rate.Limiter // limits comparisons soon after a change of ours
	quick   *rate.Limiter // limits comparisons that mend what another program has changed
	rules   *rate.Limiter // limits how often the filter's rules are mended

	seen   nft.Version // of the filter, when it was last read and mended
	panics uint64      // how many panics the cores had had by then
	spared int         // how many comparisons since then have not read the filter

	goesOn bool // the first comparison is due: what it mends was restored, and no fault

	mu       sync.Mutex // guards all following fields
	last     time.Time
	found    int
	findings map[string]uint64 // by kind
}

// calmTime is the pause before the kernel is read, so that a burst of changes can end. If
// something cannot be mended, such as a route of ours while another program has one in its place,
// the pause doubles for each further try, up to maxPause.
const (
	calmTime = 200 * time.Millisecond
	maxPause = time.Minute
)

// Another program may undo again and again what is mended. It is mended at once quickAtOnce times,
// and after that once in every quickEvery. Comparisons after our own changes, such as a reload, are
// limited in the same way and counted apart.
const (
	quickAtOnce = 10
	quickEvery  = 30 * time.Second
)

// maxSpared bounds the comparisons in a row that rely on the filter's Version alone.
const maxSpared = 63

// noFindings has a 0 for each kind, so that the figures exist before the first finding.
func noFindings() map[string]uint64 {
	counts := make(map[string]uint64)
	for _, k := range []hoststate.FindingKind{hoststate.Missing, hoststate.Changed, hoststate.LeftOver} {
		counts[k.String()] = 0
	}
	return counts
}

func newComparer(o *Options) *comparer {
	return &comparer{
		log: o.Told, quiet: o.Log, limiter: notes.NewLimiter(o.Config().Log.Every), feed: o.Feed,
		every:   func() time.Duration { return o.Config().Host.Compare },
		version: o.Filter.Version, mend: o.Filter.Mend, actual: o.actual, routes: o.Routes.Routes, takeOut: o.carryOut,
		listen: func() (notices, error) { return o.Filter.OpenNotices() },
		due:    make(chan struct{}, 1), changed: make(chan struct{}, 1), late: make(chan struct{}, 1),
		own: newQuick(), quick: newQuick(), rules: newQuick(), findings: noFindings(),
	}
}

func newQuick() *rate.Limiter { return rate.NewLimiter(rate.Every(quickEvery), quickAtOnce) }

// soon asks for a comparison; it never waits.
func (a *comparer) soon() { ask(a.due) }

// othersChanged asks for a comparison, because another program has changed what is ours.
func (a *comparer) othersChanged() { ask(a.changed) }

// inAWhile asks for a comparison after some time, because something could not be installed.
func (a *comparer) inAWhile() { ask(a.late) }

func ask(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *comparer) run(ctx context.Context) error {
	pause := calmTime
	var later, soon, theirs <-chan time.Time // when to compare, for each reason
	var notBefore, theirsNotBefore time.Time
	first := time.After(calmTime) // compares what Begin has not compared
	wait := func(until time.Time) <-chan time.Time { return time.After(max(calmTime, time.Until(until))) }
	for {
		var slow <-chan time.Time
		if every := a.every(); every > 0 {
			slow = time.After(every)
		}
		whole := true
		select {
		case <-ctx.Done():
			return nil
		case <-first:
			first, whole = nil, false
		case <-slow:
			whole = false
		case <-later:
		case <-soon:
			notBefore = time.Now().Add(a.own.Reserve().Delay())
		case <-theirs:
		case <-a.late:
			if later == nil {
				later = time.After(pause)
			}
			continue
		case <-a.due:
			if soon == nil {
				soon = wait(notBefore)
			}
			continue
		case <-a.changed:
			if theirs == nil {
				theirs = wait(theirsNotBefore)
			}
			continue
		}
		byOthers := theirs != nil
		whole = whole || later != nil || soon != nil || theirs != nil // this comparison serves all reasons
		later, soon, theirs = nil, nil, nil
		found, err := a.once(ctx, whole)
		if err != nil && ctx.Err() == nil {
			a.log.Error("kernel not compared with what is wanted", "error", err)
			a.inAWhile()
		}
		if byOthers && found > 0 {
			theirsNotBefore = time.Now().Add(a.spend(a.quick))
		}
		if pause = min(2*pause, maxPause); err == nil && found == 0 {
			pause = calmTime
		}
	}
}

// spend counts that another program's change was mended, and returns how long to wait before the
// next one is mended.
func (a *comparer) spend(times *rate.Limiter) time.Duration {
	delay := times.Reserve().Delay()
	if delay > 0 {
		if n, due := a.limiter.Due("undone again and again", service.Now().Boot); due {
			a.log.Warn("another program keeps changing routes or the filter of ours: they are mended less often", "every", quickEvery, "times", n)
		}
	}
	return delay
}

// trouble is what to tell an operator if other programs keep changing what is ours; else empty.
func (a *comparer) trouble() string {
	if a.quick.Tokens() < 1 || a.rules.Tokens() < 1 {
		return "kernel: another program keeps changing routes or the filter of ours; the log names them"
	}
	return ""
}

// tries bounds how often a comparison begins again. It has to where too much has changed while it
// ran.
const tries = 5

var errChanging = errors.New("too much changes meanwhile")

// once makes one comparison, and returns how many differences it found. whole says that the filter
// has to be read even if its Version is the same.
func (a *comparer) once(ctx context.Context, whole bool) (n int, err error) {
	if whole {
		a.seen = nft.Version{}
	}
	for range tries {
		under, panics, err := a.begin(ctx)
		if err != nil {
			return 0, err
		}
		version, err := a.version()
		if err != nil {
			return 0, err
		}
		read := a.readAll
		if version == a.seen && panics == a.panics && a.spared < maxSpared {
			read = a.readRoutes
		} else {
			a.seen = nft.Version{} // set again once everything has been compared
		}
		reading, err := read()
		if err != nil {
			return 0, err
		}
		found, calm, err := a.compare(ctx, under, reading)
		if err != nil {
			return 0, err
		}
		if calm {
			left, err := a.removeLeftOver(ctx, reading)
			if found = append(found, left...); err == nil {
				a.seen, a.panics = version, panics
			}
			a.report(found)
			return len(found), err
		}
	}
	return 0, errChanging
}

// readAll reads everything of ours from the kernel. Before, it mends the filter's rules.
func (a *comparer) readAll() (*hoststate.Reading, error) {
	a.spared = 0
	if _, err := a.mendRules(); err != nil {
		return nil, err
	}
	return a.actual()
}

func (a *comparer) mendRules() (mended bool, err error) {
	if mended, err = a.mend(); err == nil && mended {
		a.log.Warn("filter rules were changed by somebody else: mended") // quickEvery bounds how often this happens
	}
	return mended, err
}

// notices is nft.Notices: it hears what other programs change in the filter table.
type notices interface {
	Wait(ctx context.Context) error
	Read() (changed bool)
	Close() error
}

// watch mends the filter when another program changes it: its rules at once, because without them
// nothing is filtered, and its elements by a comparison. If a program changes them again and
// again, they are mended less often.
func (a *comparer) watch(ctx context.Context) error {
	heard, err := a.listen()
	if err != nil {
		return err
	}
	defer heard.Close()
	for heard.Wait(ctx) == nil {
		pause := calmTime // many changes in a burst count as one
		if heard.Read() && a.every() > 0 {
			mended, err := a.mendRules()
			if err != nil {
				a.log.Error("filter rules not mended", "error", err)
			}
			if mended || err != nil {
				pause = max(pause, a.spend(a.rules))
			}
			a.othersChanged()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// readRoutes reads only our routes from the kernel.
func (a *comparer) readRoutes() (*hoststate.Reading, error) {
	a.spared++
	routes, err := a.routes()
	return hoststate.OfRoutes(routes), err
}

// under has a comparison of each part, in the order of the parts.
type under []*hoststate.Comparison

// compare carries out the comparisons in pieces. Between two pieces, the loop of the part does its
// other work. calm is false if a comparison has to begin again.
func (a *comparer) compare(ctx context.Context, u under, r *hoststate.Reading) (found []hoststate.Finding, calm bool, err error) {
	for i, part := range a.parts {
		for done := false; !done; {
			var more []hoststate.Finding
			err := part.Call(ctx, func(_ instant.Now, eff *effect.Effects) {
				more, done, calm = part.Kernel().ComparePart(u[i], r, eff)
			})
			if err != nil {
				return nil, false, err
			}
			found = append(found, more...)
		}
		if !calm {
			return nil, false, nil
		}
	}
	return found, true, nil
}

// leftAtOnce is how many things that no part wants are removed at once. This takes a few
// milliseconds at most, during which Changes wait.
const leftAtOnce = 4096

// removeLeftOver removes what no part wants. A part may have begun to want such a thing since it was
// compared, so all parts are asked before the removal. They are asked once more after it, since a
// part may have installed the thing in between.
func (a *comparer) removeLeftOver(ctx context.Context, r *hoststate.Reading) (found []hoststate.Finding, err error) {
	for gone := range r.LeftOver(leftAtOnce) {
		gone, err := a.again(ctx, gone)
		if err != nil {
			return found, err
		}
		found = append(found, hoststate.LeftOvers(gone)...)
		failed := a.takeOut(gone)
		if _, err := a.again(ctx, gone); err != nil || failed != nil {
			return found, errors.Join(failed, err)
		}
	}
	return found, nil
}

// again shows all parts operations that have removed things from the kernel, or are about to. Each
// part installs again what it wants; again returns the operations for the rest.
func (a *comparer) again(ctx context.Context, gone []hoststate.Op) (rest []hoststate.Op, err error) {
	rest = gone
	for _, part := range a.parts {
		if len(rest) == 0 {
			break
		}
		if err := part.Call(ctx, func(_ instant.Now, eff *effect.Effects) { rest = part.Kernel().Again(rest, eff) }); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// begin begins a comparison of each part. It waits until everything that was decided before is
// installed. panics is how many panics all cores have had: after a panic, what a core believes of
// the kernel may be wrong.
func (a *comparer) begin(ctx context.Context) (u under, panics uint64, err error) {
	for _, part := range a.parts {
		if err := part.Installed(ctx, func() { u, panics = append(u, part.Kernel().Compare()), panics+part.Panics() }); err != nil {
			return nil, 0, err
		}
	}
	return u, panics, nil
}

// maxReported bounds how many differences of one comparison are named in the log.
const maxReported = 10

func (a *comparer) report(found []hoststate.Finding) {
	a.mu.Lock()
	a.last, a.found = time.Now(), len(found)
	a.mu.Unlock()
	if a.goesOn {
		a.goesOn = false
		if len(found) > 0 {
			a.log.Info("filter brought to what was kept", "differences", len(found))
		}
		return
	}
	a.mu.Lock()
	for _, f := range found {
		a.findings[f.Kind.String()]++
	}
	a.mu.Unlock()
	at := service.Now().Boot
	for i, f := range found {
		if i == maxReported {
			a.log.Warn("kernel differed: more was mended", "differences", len(found))
			return
		}
		if times, due := a.limiter.Due("finding "+f.String(), at); due {
			a.quiet.Warn("kernel differed: mended", "what", f.String(), "times", times)
		}
		a.feed.Offer(foundEvent(f))
	}
}

// count writes the results of the comparisons into c.
func (a *comparer) count(c *api.Counters) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.Host.LastComparison, c.Host.LastFindings = a.last, a.found
	c.HostFindings = maps.Clone(a.findings)
}

func foundEvent(f hoststate.Finding) api.Event {
	return api.Event{Time: time.Now(), Kind: effect.NoteForeign.String(), Text: "kernel differed: mended", Reason: f.String()}
}

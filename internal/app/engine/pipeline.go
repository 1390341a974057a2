package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
)

// Keeper is where changes are kept: host/store.
type Keeper interface {
	Commit(ops []store.Op) error
}

// Installer is where changes are installed: routes and filter elements.
type Installer interface {
	Apply(ops []hoststate.Op, failed func(i int, err error)) error
}

// sideBySide is Installers that work at the same time, each on what is its own among the
// operations: the kernel has one lock for routes and another one for nftables.
type sideBySide []Installer

// Apply implements Installer. It returns once all installers have ended.
func (s sideBySide) Apply(ops []hoststate.Op, failed func(i int, err error)) error {
	var mu sync.Mutex // failed is for one caller at a time
	var all sync.WaitGroup
	errs := make([]error, len(s))
	for n, h := range s {
		all.Go(func() {
			errs[n] = h.Apply(ops, func(i int, err error) {
				mu.Lock()
				defer mu.Unlock()
				failed(i, err)
			})
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Sender is where datagrams leave: host/udp.
type Sender interface {
	Send(batch []udp.Outgoing, failed func(i int, err error))
}

// job is the work that one batch of decisions asks for, in the order of the effects:
// keep, install, send. look is called once everything before it is installed.
type job struct {
	changes []effect.Change
	sends   []waiting
	look    func()
	left    <-chan struct{} // closed when what leaves at once has left, which a change follows; nil: none does

	keepErr error
}

// onlyKeeps reports whether a change of this job has something to keep and nothing
// to install.
func (j *job) onlyKeeps(id effect.ChangeID) bool {
	i := slices.IndexFunc(j.changes, func(c effect.Change) bool { return c.ID == id })
	return i >= 0 && len(j.changes[i].Keep) > 0 && len(j.changes[i].Host) == 0
}

// split takes the first n changes off a job, and the datagrams that wait for none of the
// rest. When a change is told to be carried out, the datagrams that waited for it have
// left.
func (j *job) split(n int) *job {
	first := &job{changes: j.changes[:n], left: j.left}
	last := first.changes[n-1].ID
	var rest []waiting
	for _, w := range j.sends {
		if w.after <= last {
			first.sends = append(first.sends, w)
		} else {
			rest = append(rest, w)
		}
	}
	j.changes, j.sends = j.changes[n:], rest
	return first
}

func (j *job) records() (n int) {
	for i := range j.changes {
		n += len(j.changes[i].Keep)
	}
	return n
}

// waiting is a datagram that leaves once the change it names is done.
type waiting struct {
	after   effect.ChangeID
	extends bool
	out     udp.Outgoing
}

// pipeline carries changes out while the core goes on deciding: one goroutine keeps, with all
// changes that have queued up in one commit; the next one installs and sends.
type pipeline struct {
	log    *slog.Logger
	keep   Keeper
	hosts  []Installer
	out    Sender
	unsent func(udp.Outgoing, error)

	jobs     chan *job
	kept     chan []*job
	outcomes chan []effect.Outcome
	done     chan struct{} // closed when all is carried out, after the queue was closed
	breathe  func()        // called between two pieces of work, which others may have waited for
	now      func() time.Time

	failed map[effect.ChangeID]failure // changes whose datagrams are held back
	order  []effect.ChangeID           // of failed, oldest first
	batch  []udp.Outgoing

	finished time.Time // when the second stage last was
}

type failure struct {
	err     error
	notKept bool
}

const (
	maxJobs    = 1024 // queued before new changes are refused
	maxGroup   = 256  // jobs in one commit
	maxRecords = 8192 // in one commit, but for its last job
	maxFailed  = 4096 // failed changes remembered
	slowCommit = time.Second

	// gather is the shortest time between two commits. A commit, and what it brings
	// into the kernel, costs much the same for one change and for a hundred. Who
	// comes alone does not wait.
	gather = 2 * time.Millisecond
	// After so long a pause the second stage has time: it divides what comes into
	// pieces, at most so many, between which others have a turn.
	calmAfter = 2 * gather
	pieces    = 16
)

var errStalled = errors.New("store: the queue of changes is full")

func newPipeline(log *slog.Logger, keep Keeper, hosts []Installer) *pipeline {
	return &pipeline{
		log: log, keep: keep, hosts: hosts,
		jobs: make(chan *job, maxJobs), kept: make(chan []*job, 8), outcomes: make(chan []effect.Outcome, 64),
		done: make(chan struct{}), breathe: func() {}, now: time.Now,
		failed: make(map[effect.ChangeID]failure),
	}
}

// offer queues a job without ever blocking; false if the queue is full.
func (p *pipeline) offer(j *job) bool {
	select {
	case p.jobs <- j:
		return true
	default:
		return false
	}
}

// runKeep is the first stage. It ends when the loop has closed the queue and
// everything in it is kept.
func (p *pipeline) runKeep(context.Context) error {
	defer close(p.kept)
	var last time.Time
	for j := range p.jobs {
		time.Sleep(time.Until(last.Add(gather)))
		last = time.Now()
		group := []*job{j}
		records := j.records()
		for more := true; more && len(group) < maxGroup && records < maxRecords; {
			select {
			case j, ok := <-p.jobs:
				if more = ok; ok {
					group = append(group, j)
					records += j.records()
				}
			default:
				more = false
			}
		}
		p.commit(group)
		p.kept <- group
	}
	return nil
}

func (p *pipeline) commit(group []*job) {
	records := 0
	for _, j := range group {
		records += j.records()
		if j.left != nil {
			<-j.left
		}
	}
	ops := make([]store.Op, 0, records)
	for _, j := range group {
		for i := range j.changes {
			for _, k := range j.changes[i].Keep {
				ops = append(ops, store.Op{Key: k.Key, Value: k.Value})
			}
		}
	}
	if len(ops) == 0 {
		return
	}
	started := time.Now()
	err := p.keep.Commit(ops)
	if took := time.Since(started); took > slowCommit {
		p.log.Warn("store is slow", "took", took, "records", len(ops))
	}
	for _, j := range group {
		j.keepErr = err
	}
}

// runInstall is the second stage. It ends when the first has; outcomes after ctx
// has ended concern nobody any more.
func (p *pipeline) runInstall(ctx context.Context) error {
	defer close(p.done)
	for group := range p.kept {
		p.finish(ctx, p.join(group))
	}
	return nil
}

// finish installs a group of jobs, sends what waited for it, and says what became
// of it. It would cost least to take all at once; in pieces it is kinder to who
// comes meanwhile.
func (p *pipeline) finish(ctx context.Context, group []*job) {
	piece := len(group)
	if p.now().Sub(p.finished) >= calmAfter {
		piece = (len(group) + pieces - 1) / pieces
	}
	for part := range slices.Chunk(group, piece) {
		p.finishPiece(ctx, part)
	}
	p.finished = p.now()
}

func (p *pipeline) finishPiece(ctx context.Context, group []*job) {
	outcomes := p.install(group)
	p.breathe()
	p.release(group)
	p.breathe()
	for _, j := range group {
		if j.look != nil {
			j.look()
		}
	}
	if len(outcomes) == 0 {
		return
	}
	select {
	case p.outcomes <- outcomes:
	case <-ctx.Done():
	}
}

// join makes one group of all that are kept by now: where the core is busy, groups
// come faster than this stage gets to run, and each would wait for the ones before.
func (p *pipeline) join(group []*job) []*job {
	for len(group) < maxGroup {
		select {
		case next, ok := <-p.kept:
			if !ok {
				return group
			}
			group = append(group, next...)
		default:
			return group
		}
	}
	return group
}

// install carries out the host operations of a group of jobs and says what
// became of each change.
func (p *pipeline) install(group []*job) []effect.Outcome { return p.installBy(p.hosts, group) }

func (p *pipeline) installBy(hosts []Installer, group []*job) []effect.Outcome {
	changes, deeds := 0, 0
	for _, j := range group {
		changes += len(j.changes)
		for i := range j.changes {
			deeds += len(j.changes[i].Host)
		}
	}
	ops := make([]hoststate.Op, 0, deeds)
	owner := make([]int, 0, deeds) // index into outcomes, by operation
	outcomes := make([]effect.Outcome, 0, changes)
	for _, j := range group {
		for i := range j.changes {
			c := &j.changes[i]
			o := effect.Outcome{ID: c.ID}
			if len(c.Keep) > 0 {
				o.Keep = j.keepErr
			}
			for _, op := range c.Host {
				ops = append(ops, op)
				owner = append(owner, len(outcomes))
			}
			outcomes = append(outcomes, o)
		}
	}
	if len(ops) > 0 {
		for _, h := range hosts {
			p.breathe()
			p.apply(h, ops, func(i int, err error) {
				o := &outcomes[owner[i]]
				o.Install = append(o.Install, effect.FailedOp{Op: ops[i], Err: err})
			})
		}
	}
	for _, o := range outcomes {
		if o.Keep != nil {
			p.fail(o.ID, failure{fmt.Errorf("%w: %w", ErrNotKept, o.Keep), true})
		} else if len(o.Install) > 0 {
			p.fail(o.ID, failure{fmt.Errorf("%w: %w", ErrNotInstalled, o.Install[0].Err), false})
		}
	}
	return outcomes
}

func (p *pipeline) apply(h Installer, ops []hoststate.Op, failed func(int, error)) {
	told := make(map[int]bool)
	err := h.Apply(ops, func(i int, err error) {
		told[i] = true
		if errors.Is(err, netlink.ErrRefused) {
			err = fmt.Errorf("%w: %w", effect.ErrRefused, err)
		}
		failed(i, err)
	})
	if err == nil {
		return
	}
	p.log.Error("host state not installed", "error", err)
	for i := range ops {
		if !told[i] {
			failed(i, err)
		}
	}
}

func (p *pipeline) fail(id effect.ChangeID, f failure) {
	if len(p.order) == maxFailed {
		delete(p.failed, p.order[0])
		p.order = p.order[1:]
	}
	p.failed[id] = f
	p.order = append(p.order, id)
}

// release sends the datagrams of jobs whose changes are done.
func (p *pipeline) release(group []*job) {
	p.batch = p.batch[:0]
	for _, j := range group {
		for _, w := range j.sends {
			if f, bad := p.failed[w.after]; bad && !(w.extends && f.notKept) {
				p.unsent(w.out, f.err)
				continue
			}
			p.batch = append(p.batch, w.out)
		}
	}
	if len(p.batch) > 0 {
		p.out.Send(p.batch, func(i int, err error) { p.unsent(p.batch[i], err) })
	}
	clear(p.batch) // what was sent need not stay in memory
}

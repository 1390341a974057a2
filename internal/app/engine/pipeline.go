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

// Keeper keeps changes: host/store.
type Keeper interface {
	Commit(ops []store.Op) error
}

// Installer installs routes and filter elements in the kernel.
type Installer interface {
	Apply(ops []hoststate.Op, failed func(i int, err error)) error
}

// sideBySide are Installers that work at the same time. Each carries out the operations that are
// its own: the kernel has one lock for routes and another one for nftables.
type sideBySide []Installer

// Apply implements Installer. It returns once all installers have ended.
func (s sideBySide) Apply(ops []hoststate.Op, failed func(i int, err error)) error {
	var mu sync.Mutex // failed must not be called by two goroutines at a time
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

// Sender sends datagrams: host/udp.
type Sender interface {
	Send(batch []udp.Outgoing, failed func(i int, err error))
}

// job is the work that one batch of decisions asks for, in the order of the effects: keep,
// install, send. look is called once everything before it is installed.
type job struct {
	changes []effect.Change
	sends   []waiting
	look    func()
	left    <-chan struct{} // nil, or closed when the datagrams have left that a Change of the job follows

	keepErr error
}

// onlyKeeps reports whether a Change of this job has something to keep and nothing to install.
func (j *job) onlyKeeps(id effect.ChangeID) bool {
	i := slices.IndexFunc(j.changes, func(c effect.Change) bool { return c.ID == id })
	return i >= 0 && len(j.changes[i].Keep) > 0 && len(j.changes[i].Host) == 0
}

// split takes the first n Changes off a job, with the datagrams that wait for none of the other
// Changes. So, when the core is told that a Change is carried out, the datagrams that waited for
// it have left.
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

// waiting is a datagram that leaves once the Change after is done.
type waiting struct {
	after   effect.ChangeID
	extends bool
	out     udp.Outgoing
}

// pipeline carries Changes out while the core goes on deciding. One goroutine keeps all Changes
// that have queued up, in one commit; the next one installs and sends.
type pipeline struct {
	log    *slog.Logger
	keep   Keeper
	hosts  []Installer
	out    Sender
	unsent func(udp.Outgoing, error)

	jobs     chan *job
	kept     chan []*job
	outcomes chan []effect.Outcome
	done     chan struct{} // closed when everything is carried out, after the queue was closed
	breathe  func()        // called between two pieces of work, so that the loop can look at the sockets
	now      func() time.Time

	failed map[effect.ChangeID]failure // Changes whose datagrams are held back
	order  []effect.ChangeID           // the keys of failed, oldest first
	batch  []udp.Outgoing

	finished time.Time // when the second stage last finished
}

type failure struct {
	err     error
	notKept bool
}

const (
	maxJobs    = 1024 // jobs in the queue; new ones are refused
	maxGroup   = 256  // jobs in one commit
	maxRecords = 8192 // in one commit, not counting its last job
	maxFailed  = 4096 // failed Changes that are remembered
	slowCommit = time.Second

	// gather is the shortest time between two commits. A commit, and what it brings into the
	// kernel, costs nearly the same for one Change and for a hundred. A Change that comes alone
	// does not wait.
	gather = 2 * time.Millisecond
	// After a pause of calmAfter the second stage has time. It divides a group into at most so
	// many pieces, and lets others run between them.
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

// offer queues a job without ever blocking. It returns false if the queue is full.
func (p *pipeline) offer(j *job) bool {
	select {
	case p.jobs <- j:
		return true
	default:
		return false
	}
}

// runKeep is the first stage. It ends when the loop has closed the queue and everything in it is
// kept.
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

// runInstall is the second stage. It ends after the first. Outcomes that come after ctx has ended
// are for nobody any more.
func (p *pipeline) runInstall(ctx context.Context) error {
	defer close(p.done)
	for group := range p.kept {
		p.finish(ctx, p.join(group))
	}
	return nil
}

// finish installs a group of jobs, sends the datagrams that waited for it, and reports the
// outcomes. It would cost least to take the whole group at once. In pieces, datagrams that arrive
// meanwhile wait less.
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

// join makes one group of all groups that are kept by now. While the core is busy, groups come
// faster than this stage gets to run, and each would have to wait for the groups before it.
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

// install carries out the operations of a group of jobs, and returns the outcome of each Change.
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
	owner := make([]int, 0, deeds) // by operation, the index into outcomes
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

// release sends the datagrams of jobs whose Changes are done.
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
	clear(p.batch) // the memory of what was sent can be freed
}

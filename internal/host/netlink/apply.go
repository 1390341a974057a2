package netlink

import (
	"errors"
	"fmt"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// maxBatch is how many routes one system call takes at most. More would gain nothing.
const maxBatch = 512

// maxTries bounds how often one operation is sent: twice where a route is in the way, and again
// when answers were lost.
const maxTries = 5

// batch is a group of operations on different routes.
type batch struct {
	parts []part
	keys  map[routeKey]bool
	buf   []byte
}

type part struct {
	hoststate.Op
	at     int  // its index in the caller's list
	doubts bool // a route was in the way, and has been looked at
}

func (b *batch) reset() {
	if b.keys == nil {
		b.keys = make(map[routeKey]bool, maxBatch)
	}
	b.parts = b.parts[:0]
	clear(b.keys)
}

// Apply carries out the route operations among ops, and skips the others. Operations on one route
// are carried out in their order. For each operation that the kernel refuses, failed is called
// with its index in ops and the reason: ErrRefused, ErrForeign, or another error, which a later
// comparison may mend. failed must not call the Conn. To remove a route that is not there is a
// success. An error that Apply returns says that the Conn does not work; then nothing is known of
// the other operations.
func (c *Conn) Apply(ops []hoststate.Op, failed func(i int, err error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := min(maxBatch, c.requests.Limit())
	c.batch.reset()
	for i, op := range ops {
		if op.Route == nil {
			continue
		}
		if !op.Route.Prefix.IsValid() || op.Route.Prefix.Addr().Is4In6() || op.Route.Link == hoststate.OtherKind {
			failed(i, fmt.Errorf("route %v: cannot be installed", op.Route))
			continue
		}
		k := keyOf(*op.Route)
		if len(c.batch.parts) == limit || c.batch.keys[k] {
			if err := c.flush(failed); err != nil {
				return err
			}
		}
		c.batch.parts = append(c.batch.parts, part{Op: op, at: i})
		c.batch.keys[k] = true
	}
	return c.flush(failed)
}

// flush carries out the batch and empties it. Operations without an answer are sent again. Where
// a route in the way might be foreign, it is looked at.
func (c *Conn) flush(failed func(i int, err error)) error {
	defer c.batch.reset()
	for range maxTries {
		if len(c.batch.parts) == 0 {
			return nil
		}
		if err := c.exchange(); err != nil {
			return err
		}
		again, err := c.judge(failed)
		if err != nil {
			return err
		}
		c.batch.parts = c.batch.parts[:again]
	}
	for _, p := range c.batch.parts {
		failed(p.at, fmt.Errorf("route %v: %w", p.Route, bulk.ErrNoAnswer))
	}
	return nil
}

// exchange sends the batch. A route that is not known to be ours is only created (NLM_F_EXCL).
// NLM_F_REPLACE would replace a foreign one without an error, and NLM_F_CREATE alone would make
// one route with the next hops of both. The last request asks for an answer, so that silence can
// be told from success.
func (c *Conn) exchange() error {
	b := c.batch.buf[:0]
	last := len(c.batch.parts) - 1
	for i, op := range c.batch.parts {
		flags := uint16(unix.NLM_F_CREATE | unix.NLM_F_EXCL)
		switch {
		case op.Remove:
			flags = 0
		case op.doubts && c.owned.has(keyOf(*op.Route)), c.owned.surely(*op.Route):
			flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
		}
		b = appendRoute(b, op.Route, c.protocol, flags, i == last)
	}
	c.batch.buf = b
	var err error
	if c.answers, err = c.requests.Exchange(b, c.answers); err != nil {
		return fmt.Errorf("routes: %w", err)
	}
	doubtSilence(c.answers)
	return nil
}

// doubtSilence does not count silence as success where the last answer, which was asked for, is
// missing.
func doubtSilence(answers []error) {
	if !errors.Is(answers[len(answers)-1], bulk.ErrNoAnswer) {
		return
	}
	for i, answer := range answers {
		if answer == nil {
			answers[i] = bulk.ErrNoAnswer
		}
	}
}

// judge looks at the answers. It moves the operations that have to be sent again to the front of
// the batch, and returns how many there are.
func (c *Conn) judge(failed func(i int, err error)) (again int, err error) {
	doubt := map[uint32]bool{} // tables in which a route is in the way
	for j, p := range c.batch.parts {
		answer := c.answers[j]
		switch {
		case p.Remove && (answer == nil || errors.Is(answer, unix.ESRCH)):
			c.owned.remove(keyOf(*p.Route))
			continue
		case answer == nil:
			c.owned.add(*p.Route)
			continue
		case errors.Is(answer, unix.EEXIST) && p.doubts:
			c.owned.noteDisplaced(*p.Route)
			failed(p.at, fmt.Errorf("route %v: %w", p.Route, ErrForeign))
			continue
		case errors.Is(answer, unix.EEXIST):
			p.doubts = true
			doubt[p.Route.Table] = true
			c.owned.remove(keyOf(*p.Route)) // what is read next decides whether it is ours
		case errors.Is(answer, bulk.ErrNoAnswer):
		default:
			failed(p.at, fmt.Errorf("route %v: %w", p.Route, explain(p.Op, answer)))
			continue
		}
		c.batch.parts[again] = p
		again++
	}
	for table := range doubt {
		routes, err := c.routes(table)
		if err != nil {
			return 0, fmt.Errorf("routes: table %d: %w", table, err)
		}
		for _, r := range routes {
			c.owned.add(r)
		}
	}
	return again, nil
}

// explain marks the kernel's errors about a device that is down, gone or without IPv6.
func explain(op hoststate.Op, answer error) error {
	if op.Remove || op.Route.Link <= 0 {
		return answer
	}
	for _, e := range []unix.Errno{
		unix.ENETDOWN, unix.ENODEV, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL,
	} {
		if errors.Is(answer, e) {
			return fmt.Errorf("%w: %w", ErrRefused, answer)
		}
	}
	return answer
}

// Purge removes every route of our protocol from all tables, and returns how many it removed.
func (c *Conn) Purge() (n int, err error) {
	routes, err := c.Routes()
	if err != nil {
		return 0, err
	}
	ops := make([]hoststate.Op, len(routes))
	for i := range routes {
		ops[i] = hoststate.Op{Remove: true, Route: &hoststate.Route{
			Table: routes[i].Table, Prefix: routes[i].Prefix, Metric: routes[i].Metric,
		}}
	}
	n = len(routes)
	var errs []error
	err = c.Apply(ops, func(_ int, err error) {
		n--
		errs = append(errs, err)
	})
	return n, errors.Join(append(errs, err)...)
}

package main

import (
	"errors"
	"fmt"
	"time"
)

// The other link, which the flood comes from: its ends in gen and at the relay.
const otherPort, otherLink = "e0", "d1"

// leastElsewhere is what a flood on another link must have been, in messages a
// second.
const leastElsewhere = 100_000

// floodElsewhere has honest clients on one link, beside a flood on another one that
// the relay does not serve, and beside the same flood on the same link when it does.
func floodElsewhere(b *bench) (bar, error) {
	r, err := b.rig(false)
	if err != nil {
		return bar{}, err
	}
	err = r.net.Veth(r.gen, otherPort, r.relay, otherLink)
	if err == nil {
		_, err = r.relay.LinkLocal(otherLink)
	}
	if err != nil {
		return bar{}, err
	}
	if err := r.know(0); err != nil {
		return bar{}, err
	}
	served, not := plan{name: ours, protected: true, others: []string{otherLink}}, plan{name: ours, protected: true}
	f, err := b.startFairlead(r, not)
	if err != nil {
		return bar{}, err
	}
	var with, without losses
	for range b.rounds {
		for _, p := range []struct {
			plan plan
			sum  *losses
		}{{not, &without}, {served, &with}} {
			if err := f.Reload(p.plan.configuration(b.state(r, ours))); err != nil {
				return bar{}, err
			}
			if err := r.besideOther(b, p.sum); err != nil {
				return bar{}, err
			}
		}
	}
	return judgeElsewhere(with, without), nil
}

// losses are the messages of honest clients, and those of a flood.
type losses struct {
	offered, answered int
	flood             int
	floods            time.Duration // how long they took
}

// share is what was not answered in time, of one.
func (l losses) share() float64 { return 1 - float64(l.answered)/float64(l.offered) }

// rate is the flood's messages a second.
func (l losses) rate() float64 { return float64(l.flood) / l.floods.Seconds() }

// judgeElsewhere takes what was lost beside the flood on a link that is served, and
// on one that is not.
func judgeElsewhere(with, without losses) bar {
	const name = "relay6-flood-elsewhere"
	if with.offered == 0 || without.offered == 0 || with.floods == 0 || without.floods == 0 {
		return unknown(name, "nothing was measured")
	}
	more := 100 * (with.share() - without.share())
	b := judge(name, fmt.Sprintf("%.2f %% more (%.2f %% beside %.0f/s on a link that is served, %.2f %% beside %.0f/s on one that is not)",
		more, 100*with.share(), with.rate(), 100*without.share(), without.rate()), more <= wantElsewhere)
	if min(with.rate(), without.rate()) < leastElsewhere {
		b.Void = fmt.Sprintf("the flood was under %d/s", leastElsewhere)
	}
	return b
}

// besideOther is honest while another link is flooded, and adds to what was lost.
func (r *rig) besideOther(b *bench, sum *losses) error {
	thrower, err := r.startThrower(otherPort)
	if err != nil {
		return err
	}
	honest, err := r.honest(b)
	sent, took, failed := thrown(thrower)
	sum.offered += honest.Offered
	sum.answered += honest.Answered
	sum.flood += sent
	sum.floods += took
	return errors.Join(err, failed)
}

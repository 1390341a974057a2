package main

import (
	"errors"
	"fmt"
	"slices"
)

// overloadFactor is how much more than its peak a relay is offered, and
// enoughOverload what must really have been sent for it to count.
const (
	overloadFactor = 1.5
	enoughOverload = 1.4
)

const (
	window     = 64   // closed loop
	peakWindow = 512  // closed loop, where answers wait for a disk
	openRate   = 2000 // open loop, exchanges a second

	manyClients = 4096 // to see what costs more among many
)

// turn is what one contender did in one round with one of the loads. Peak is the
// closed loop in which it did most.
type turn struct {
	Closed, Peak, Open, Overload result
}

// entry is a contender and what it did.
type entry struct {
	Name, About, Version string
	Peer                 bool
	Plain, Mix           []turn   // one a round; Mix is fairlead's alone
	Many                 []result // one a round: closed loops with many clients
}

// contest has every contender on its own rig, in turns.
type contest struct {
	rigs    map[string]*rig
	entries []*entry
	granted int // how many clients have got a delegation in fairlead
}

// enter builds the rigs of the contenders that take part and warms them up.
func (b *bench) enter() (*contest, error) {
	c := &contest{rigs: map[string]*rig{}}
	for _, one := range contenders {
		if !b.takesPart(one.name) {
			continue
		}
		b.say("%s: start", one.name)
		r, err := b.rig(false)
		if err != nil {
			return nil, err
		}
		c.rigs[one.name] = r
		c.entries = append(c.entries, &entry{Name: one.name, About: one.about, Version: one.version(), Peer: one.isPeer()})
		if err := b.warm(c, one, r); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", one.name, err, r.net.Logs(10))
		}
	}
	return c, nil
}

func (b *bench) takesPart(name string) bool {
	return len(b.only) == 0 || slices.Contains(b.only, name)
}

// warm starts a contender, and leaves it stopped.
func (b *bench) warm(c *contest, one contender, r *rig) error {
	if err := r.know(b.clients); err != nil {
		return err
	}
	if one.name == ours {
		if _, err := b.startFairlead(r, plan{name: ours}); err != nil {
			return err
		}
		if err := b.fill(r, b.present); err != nil {
			return err
		}
		c.granted = b.present
	} else if err := one.launch(b, r); err != nil {
		return err
	}
	if _, err := r.play(b, load{clients: b.clients, mix: plain, window: window, length: b.length}); err != nil {
		return err
	}
	return r.pause()
}

// turns gives each contender its turn as often as was asked for.
func (b *bench) turns(c *contest, mix bool) error {
	for round := range b.rounds {
		for _, e := range c.entries {
			b.say("round %d of %d: %s", round+1, b.rounds, e.Name)
			if err := b.turn(c, e, mix); err != nil {
				return fmt.Errorf("%s: %w", e.Name, err)
			}
		}
	}
	return nil
}

func (b *bench) turn(c *contest, e *entry, mix bool) error {
	r := c.rigs[e.Name]
	if err := r.resume(); err != nil {
		return err
	}
	done, err := b.playPlain(r)
	if err != nil {
		return err
	}
	e.Plain = append(e.Plain, done)
	if e.Name == ours && mix {
		if done, err = b.playMix(c, r); err != nil {
			return err
		}
		e.Mix = append(e.Mix, done)
	}
	return r.pause()
}

// crowds has every contender serve many clients, in turns. It comes last: what a
// relay has learned of them may cost it time from then on.
func (b *bench) crowds(c *contest) error {
	for round := range b.rounds {
		for _, e := range c.entries {
			b.say("round %d of %d with %d clients: %s", round+1, b.rounds, manyClients, e.Name)
			res, err := b.crowd(c.rigs[e.Name])
			if err != nil {
				return fmt.Errorf("%s: %w", e.Name, err)
			}
			e.Many = append(e.Many, res)
		}
	}
	return nil
}

func (b *bench) crowd(r *rig) (result, error) {
	if err := errors.Join(r.resume(), r.know(manyClients)); err != nil {
		return result{}, err
	}
	res, err := r.play(b, load{clients: manyClients, mix: plain, window: window, length: b.length})
	return res, errors.Join(err, r.pause())
}

// playPlain plays the plain load in a closed loop, in an open one, and above the
// peak that the closed loop has shown.
func (b *bench) playPlain(r *rig) (t turn, err error) {
	l := load{clients: b.clients, mix: plain, length: b.length}
	l.window = window
	if t.Closed, err = r.play(b, l); err != nil {
		return t, err
	}
	t.Peak = t.Closed
	l.rate = openRate
	if t.Open, err = r.play(b, l); err != nil {
		return t, err
	}
	l.rate = overloadFactor * t.Peak.AnsweredRate
	t.Overload, err = r.play(b, l)
	return t, err
}

// playMix plays the mix in the same closed loop, in a wider one that keeps the
// relay busy while its disk works, and above the peak of both.
func (b *bench) playMix(c *contest, r *rig) (t turn, err error) {
	l := c.mixedLoad(b)
	l.window = window
	if t.Closed, err = r.play(b, l); err != nil {
		return t, err
	}
	l = c.mixedLoad(b)
	l.window = peakWindow
	if t.Peak, err = r.play(b, l); err != nil {
		return t, err
	}
	l = c.mixedLoad(b)
	l.rate = overloadFactor * max(t.Closed.AnsweredRate, t.Peak.AnsweredRate)
	t.Overload, err = r.play(b, l)
	return t, err
}

// mixedLoad is the mix among clients that nobody has seen before: some get a
// delegation beforehand, which they renew, and the others are there to be granted
// one.
func (c *contest) mixedLoad(b *bench) load {
	l := load{first: c.granted, clients: numbersOfMix, prepare: renewing, mix: mixed, length: b.length}
	c.granted += numbersOfMix
	return l
}

// numbersOfMix is how many clients a run of the mix may use, and renewing how
// many of them hold a delegation from the start.
const (
	numbersOfMix = 1 << 15
	renewing     = 1024
)

package main

import (
	"errors"
	"fmt"

	"fairlead/tools/bench/bars"
)

// flood has honest clients at a steady rate, alone and beside a host on the same
// link that sends as fast as it can: with one link-layer address, and with a
// new one in each message.
func flood(b *bench) (bar, error) {
	r, err := b.rig(true)
	if err != nil {
		return bar{}, err
	}
	if err := r.know(0); err != nil {
		return bar{}, err
	}
	f, err := b.startFairlead(r, plan{name: ours})
	if err != nil {
		return bar{}, err
	}
	if err := b.fill(r, b.present); err != nil {
		return bar{}, err
	}
	if err := f.Reload(plan{name: ours, protected: true}.configuration(b.state(r, ours))); err != nil {
		return bar{}, err
	}
	var kept [2][]float64
	var sent [2][]float64
	for range b.rounds {
		alone, err := r.honest(b)
		if err != nil {
			return bar{}, err
		}
		for i, sources := range []int{1, 1 << 16} {
			beside, offered, err := r.beside(b, sources)
			if err != nil {
				return bar{}, err
			}
			kept[i] = append(kept[i], beside.AnsweredRate/alone.AnsweredRate)
			sent[i] = append(sent[i], offered)
		}
	}
	return judgeFlood(bars.Median(kept[0]), bars.Median(kept[1]), bars.Median(sent[0]), bars.Median(sent[1])), nil
}

// honestRate is the messages a second of the honest clients, and leastFlood what
// a flood must have been.
const (
	honestRate = 500
	leastFlood = 10 * honestRate
)

// judgeFlood takes the shares of their rate that honest clients kept beside a
// flood from one address and from many, and the messages a second of each flood.
func judgeFlood(one, many, sentOne, sentMany float64) bar {
	b := ratio("relay6-flood", min(one, many), wantFlood, true, "their rate")
	b.Figure += fmt.Sprintf(" (%.2f beside %.0f/s from one address, %.2f beside %.0f/s from many)", one, sentOne, many, sentMany)
	if min(sentOne, sentMany) < leastFlood {
		b.Void = fmt.Sprintf("the flood was under %d/s", leastFlood)
	}
	return b
}

func (r *rig) honest(b *bench) (result, error) {
	return r.play(b, load{clients: 256, first: warmNumbers, rate: honestRate, mix: plain, length: b.length})
}

// beside is honest while another host floods with that many addresses. It
// returns what that host sent a second.
func (r *rig) beside(b *bench, sources int) (honest result, offered float64, err error) {
	g, err := r.generate(b, "f0", load{clients: sources, first: floodNumbers, rate: 100_000, mix: "solicit=1", length: 2 * b.length})
	if err != nil {
		return honest, 0, err
	}
	var (
		flooding = make(chan struct{})
		ended    = make(chan error, 1)
	)
	go func() {
		res, err := g.follow(func() error {
			close(flooding)
			return nil
		})
		offered = res.OfferedRate
		ended <- err
	}()
	select {
	case err = <-ended:
		return honest, 0, err
	case <-flooding:
	}
	honest, err = r.honest(b)
	err = errors.Join(err, <-ended)
	return honest, offered, err
}

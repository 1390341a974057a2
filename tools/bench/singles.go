package main

import (
	"errors"
	"fmt"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/relay"
	"fairlead/tools/bench/bars"
)

// single is a bar that is measured on its own.
type single struct {
	name    string
	measure func(*bench) (bar, error)
}

// singles are in the order in which they are measured: what adds delegations
// comes late.
var singles = []single{
	{"relay6-allocs", allocations},
	{"relay6-memory", memory},
	{"relay6-cold-clients", coldClients},
	{"relay6-4096-addresses", manyAddresses},
	{"relay6-restore", restore},
	{"relay6-grant-growth", grantGrowth},
	{"relay6-grants", grants},
	{"relay6-slow-disk", slowDisk},
	{"relay6-flood", flood},
	{"relay6-flood-elsewhere", floodElsewhere},
}

// Numbers of clients that are not among those that have a delegation already.
const (
	coldNumbers  = 2_000_000
	warmNumbers  = 3_000_000
	manyNumbers  = 4_000_000
	freshNumbers = 5_000_000
	floodNumbers = 0x7000_0000
)

// loaded is a fairlead with as many delegations as were asked for, which had
// nothing else to do.
type loaded struct {
	*rig
	fairlead *relay.Relay
	fresh    int // the number of the next client that was never granted anything
}

// loaded starts it, once.
func (b *bench) loaded() (*loaded, error) {
	if b.full != nil {
		return b.full, nil
	}
	r, err := b.rig(false)
	if err != nil {
		return nil, err
	}
	f, err := b.startFairlead(r, plan{name: ours})
	if err != nil {
		return nil, err
	}
	if err := b.fill(r, b.present); err != nil {
		return nil, err
	}
	b.full = &loaded{rig: r, fairlead: f, fresh: freshNumbers}
	return b.full, nil
}

// unload ends it: even a relay that has nothing to do looks after its routes now
// and then.
func (b *bench) unload() error {
	if b.full == nil {
		return nil
	}
	full := b.full
	b.full = nil
	return full.close()
}

// grant has that many new clients ask for a prefix each, and looks whether there
// are so many routes more.
func (l *loaded) grant(b *bench, count, window int) (result, error) {
	before, err := l.routes()
	if err != nil {
		return result{}, err
	}
	res, err := l.play(b, load{clients: count, first: l.fresh, count: count, mix: "request=1", window: window})
	if err != nil {
		return res, err
	}
	l.fresh += count
	after, err := l.routes()
	if got := after - before; err == nil && got < res.Answered {
		err = fmt.Errorf("%d clients were granted something, and %d routes came", res.Answered, got)
	}
	return res, err
}

// settling is how long memory may take to become what it stays.
const settling = 60 * time.Second

// settle waits until the relay's memory has stopped to change, and returns it.
func (r *rig) settle() (rss int64, err error) {
	const quiet = 5 * time.Second
	since := time.Now()
	for end := since.Add(settling); time.Now().Before(end) && time.Since(since) < quiet; time.Sleep(time.Second) {
		now, err := resident(r.pid)
		if err != nil {
			return 0, err
		}
		if change := now - rss; change > rss/100 || change < -rss/100 {
			since = time.Now()
			rss = now
		}
	}
	return resident(r.pid)
}

func memory(b *bench) (bar, error) {
	l, err := b.loaded()
	if err != nil {
		return bar{}, err
	}
	rss, err := l.settle()
	if err != nil {
		return bar{}, err
	}
	return judge("relay6-memory", fmt.Sprintf("%.1f MB with %d delegations", float64(rss)/1e6, b.present), float64(rss) < wantMemory), nil
}

// coldClients has clients that the relay has never heard of ask once each.
func coldClients(b *bench) (bar, error) {
	const clients = 256
	l, err := b.loaded()
	if err != nil {
		return bar{}, err
	}
	var rounds []result
	for round := range b.rounds {
		res, err := l.play(b, load{clients: clients, first: coldNumbers + round*clients, count: clients, rate: openRate, mix: "solicit=1"})
		if err != nil {
			return bar{}, err
		}
		rounds = append(rounds, res)
	}
	return judgeCold(rounds), nil
}

func judgeCold(rounds []result) bar {
	offered, answered := 0, 0
	for _, r := range rounds {
		offered, answered = offered+r.Offered, answered+r.Answered
	}
	p99 := bars.MedianOf(rounds, func(r result) float64 { return r.Latency.P99 })
	figure := fmt.Sprintf("%d of %d answered, p99 %.1f ms", answered, offered, p99/1e3)
	return judge("relay6-cold-clients", figure, answered == offered && p99 < float64(wantColdP99.Microseconds()))
}

// manyAddresses compares clients that fill the neighbour table of the kernel
// several times over with a few that the relay knows.
func manyAddresses(b *bench) (bar, error) {
	const few, many = 256, 4096
	l, err := b.loaded()
	if err != nil {
		return bar{}, err
	}
	var shares []float64
	for range b.rounds {
		warm, err := l.play(b, load{clients: few, first: warmNumbers, mix: plain, window: window, length: b.length})
		if err != nil {
			return bar{}, err
		}
		all, err := l.play(b, load{clients: many, first: manyNumbers, mix: plain, window: window, length: b.length})
		if err != nil {
			return bar{}, err
		}
		shares = append(shares, all.AnsweredRate/warm.AnsweredRate)
	}
	a := ratio("relay6-4096-addresses", bars.Median(shares), wantAddresses, true, "the warm rate")
	if room := neighbours(); room >= many {
		a.Void = fmt.Sprintf("this machine's neighbour table holds %d, not the usual 1024", room)
	}
	return a, nil
}

// grants counts how many Replies that grant come in a second.
func grants(b *bench) (bar, error) {
	const count, window = 10_000, 512
	l, err := b.loaded()
	if err != nil {
		return bar{}, err
	}
	var rates []float64
	for range b.rounds {
		res, err := l.grant(b, count, window)
		if err != nil {
			return bar{}, err
		}
		rates = append(rates, res.AnsweredRate)
	}
	rate := bars.Median(rates)
	return judge("relay6-grants", fmt.Sprintf("%.0f/s", rate), rate >= wantGrants), nil
}

// grantGrowth compares the CPU time of a grant among few delegations with that
// among many. Both relays have granted and ended some before.
func grantGrowth(b *bench) (bar, error) {
	const few, count = 100, 2000
	many, err := b.loaded()
	if err != nil {
		return bar{}, err
	}
	r, err := b.rig(false)
	if err != nil {
		return bar{}, err
	}
	f, err := b.startFairlead(r, plan{name: ours})
	if err != nil {
		return bar{}, err
	}
	small := &loaded{rig: r, fairlead: f, fresh: freshNumbers}
	var among []float64
	for round := range b.rounds + 1 {
		if err := b.fill(r, few); err != nil {
			return bar{}, err
		}
		cheap, err := small.grant(b, count, window)
		if err != nil {
			return bar{}, err
		}
		dear, err := many.grant(b, count, window)
		if err != nil {
			return bar{}, err
		}
		if round > 0 { // the first warms both up
			among = append(among, dear.perExchange()/cheap.perExchange())
		}
		if err := small.clear(); err != nil {
			return bar{}, err
		}
	}
	g := ratio("relay6-grant-growth", bars.Median(among), wantGrowth, false, "the cost among "+fmt.Sprint(few))
	return g, r.close()
}

// clear ends all delegations, and waits until their routes are gone.
func (l *loaded) clear() error {
	if _, err := l.fairlead.CLI("clear", "--all"); err != nil {
		return err
	}
	var left int
	var err error
	late := lab.Until(patience, "all routes are gone", func() bool {
		left, err = l.routes()
		return err != nil || left == 0
	})
	return errors.Join(err, late)
}

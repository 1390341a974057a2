package relays

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// These figures are wanted.
const (
	wantColdP99   = 20 * time.Millisecond
	wantAddresses = 0.9 // of the rate with few addresses
	wantGrants    = 15_000
	wantGrowth    = 1.3
	wantRestore   = 2 * time.Second
	wantMemory    = 100e6 // octets
)

// allocations runs the core's Go benchmarks of messages that are only forwarded.
func (s *role) allocations() harness.Bench {
	return harness.Bench{
		Name: s.bench("allocs"), Between: []string{ours}, Once: true,
		Turns: []harness.Turn{func(_ string, _ int, to *harness.Results) error {
			return to.Benchmarks("./internal/core/"+s.name, s.benchmarks[:]...)
		}},
		Bars: []harness.Bar{{Name: s.bar("allocs"), Wanted: "0 a message", Judge: s.judgeAllocations}},
	}
}

func (s *role) judgeAllocations(r *harness.Results) harness.Verdict {
	asked, answered := r.Median(s.benchmarks[0], "allocs/op"), r.Median(s.benchmarks[1], "allocs/op")
	if asked != asked || answered != answered {
		return harness.Unknown("not both benchmarks told")
	}
	return harness.Verdict{Figure: fmt.Sprintf("%.0f for %s, %.0f for %s", asked, s.benchmarks[0], answered, s.benchmarks[1]), Met: asked+answered == 0}
}

// memory measures the memory of a fairlead that has only granted. Of two versions, each round is
// a process of its own.
func (s *role) memory() harness.Bench {
	b := s.single("memory", func(l *loaded, who string, round int, to *harness.Results) error {
		rss, err := l.SteadyMemory()
		if err == nil {
			to.Add(s.of("Memory", who), s.present, harness.Of(float64(rss), network.RSS))
		}
		return err
	}, harness.Bar{
		Name: s.bar("memory"), Wanted: fmt.Sprintf("under %.0f MB", wantMemory/1e6),
		Judge: func(r *harness.Results) harness.Verdict {
			rss := r.Median(s.of("Memory", ours), network.RSS)
			return harness.Verdict{Figure: fmt.Sprintf("%.1f MB with %d delegations", rss/1e6, s.present), Met: rss < wantMemory}
		},
	})
	b.Once = s.against == ""
	if !b.Once {
		begin, turn := b.Begin, b.Turns[0]
		b.Turns[0] = func(who string, round int, to *harness.Results) error {
			if round > 0 {
				if err := s.loaded[who].Close(); err != nil {
					return err
				}
				delete(s.loaded, who)
				if err := begin(who); err != nil {
					return err
				}
			}
			return turn(who, round, to)
		}
	}
	return b
}

// coldClients lets clients ask once each that the relay has never heard of.
func (s *role) coldClients() harness.Bench {
	const clients = 256
	return s.single("cold-clients", func(l *loaded, who string, round int, to *harness.Results) error {
		res, err := l.Play(network.Load{Clients: clients, First: coldNumbers + round*clients, Count: clients, Rate: openRate, Mix: s.ask})
		if err == nil {
			addAnswered(to, s.of("ColdClients", who), res)
		}
		return err
	}, harness.Bar{
		Name: s.bar("cold-clients"), Wanted: fmt.Sprintf("all, under %d ms", wantColdP99.Milliseconds()),
		Judge: func(r *harness.Results) harness.Verdict {
			name := s.of("ColdClients", ours)
			offered, answered, p99 := r.Sum(name, messages), r.Sum(name, answers), r.Median(name, network.P99)
			return harness.Verdict{
				Figure: fmt.Sprintf("%.0f of %.0f answered, p99 %.1f ms", answered, offered, p99*1e3),
				Met:    answered == offered && p99 < wantColdP99.Seconds(),
			}
		},
	})
}

// Units of what is summed up over the rounds.
const (
	messages = "messages"
	answers  = "answers" // in time
)

func addAnswered(to *harness.Results, name string, res network.Result) {
	res.AddTo(to, name)
	to.Add(name, res.Offered, harness.Of(float64(res.Offered), messages), harness.Of(float64(res.Answered), answers))
}

// manyAddresses compares so many clients that the kernel's neighbour table is filled several
// times over with a few clients whom the relay knows.
func (s *role) manyAddresses() harness.Bench {
	const few, many = 256, manyClients
	return s.single("4096-addresses", func(l *loaded, who string, _ int, to *harness.Results) error {
		warm, err := l.Play(network.Load{Clients: few, First: warmNumbers, Mix: s.plainMix, Window: window, Length: s.length})
		if err != nil {
			return err
		}
		all, err := l.Play(network.Load{Clients: many, First: manyNumbers, Mix: s.plainMix, Window: window, Length: s.length})
		if err != nil {
			return err
		}
		warm.AddTo(to, s.named("Addresses", "few", who))
		all.AddTo(to, s.named("Addresses", "many", who))
		return nil
	}, harness.Bar{
		Name: s.bar("4096-addresses"), Wanted: fmt.Sprintf("at least %g", wantAddresses),
		Judge: func(r *harness.Results) harness.Verdict {
			shares := r.Shares(s.named("Addresses", "many", ours), s.named("Addresses", "few", ours), network.Rate)
			v := harness.AtLeast(wantAddresses, harness.Median(shares), "the warm rate")
			if room := s.room(); room >= many {
				v.Void = fmt.Sprintf("this machine's neighbour table holds %d, not the usual 1024", room)
			}
			return v
		},
	})
}

// room returns how many entries the machine's neighbour table may have.
func (s *role) room() int {
	text, err := os.ReadFile(s.neighbours)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// Units of a restart.
const (
	ready   = "ready-sec"   // from the start to READY=1
	renewed = "renewed-sec" // from the start to the answer to a Renew
)

// restore starts a fairlead whose delegations are only in the store: the kernel has nothing of
// them, and the page cache is empty. The start is complete when a Renew is answered; by then
// everything must be in the kernel.
func (s *role) restore() harness.Bench {
	return s.single("restore", func(l *loaded, who string, _ int, to *harness.Results) error {
		want, err := routes(l.Network)
		if err != nil {
			return err
		}
		readyAfter, renewedAfter, err := l.restart()
		if err != nil {
			return err
		}
		got, err := routes(l.Network)
		if err != nil {
			return err
		}
		strict, loose := elements(l.Network)
		if got != want || strict+loose != want {
			return fmt.Errorf("%d routes and %d filter elements of %d delegations were there when a Renew was answered", got, strict+loose, want)
		}
		to.Add(s.of("Restore", who), 1, harness.Of(readyAfter.Seconds(), ready), harness.Of(renewedAfter.Seconds(), renewed),
			harness.Of(float64(want), "delegations"), harness.Of(float64(strict), "strict-elements"), harness.Of(float64(loose), "loose-elements"))
		if s.against != "" {
			return nil
		}
		rss, err := l.SteadyMemory()
		if err == nil {
			to.Add(s.of("Restore", who), 1, harness.Of(float64(rss), network.RSS))
		}
		return err
	}, harness.Bar{
		Name: s.bar("restore"), Wanted: fmt.Sprintf("under %g s", wantRestore.Seconds()),
		Judge: func(r *harness.Results) harness.Verdict {
			median := func(unit string) float64 { return r.Median(s.of("Restore", ours), unit) }
			return harness.Verdict{
				Figure: fmt.Sprintf("%.2f s for %.0f", median(renewed), median("delegations")),
				Met:    median(renewed) < wantRestore.Seconds(),
				Notes: []string{
					fmt.Sprintf("READY=1 came after %.2f s.", median(ready)),
					fmt.Sprintf("Memory after a restart: %.1f MB.", median(network.RSS)/1e6),
					fmt.Sprintf("In the filter: %.0f prefixes from one link-layer address each, %.0f from anywhere on the link.", median("strict-elements"), median("loose-elements")),
				},
			}
		},
	})
}

// restart stops fairlead, makes the start a cold one, and returns how long it took until fairlead
// was ready, and until a Renew was answered.
func (l *loaded) restart() (ready, renewed time.Duration, err error) {
	if err := l.fairlead.Stop(); err != nil {
		return 0, 0, err
	}
	if _, err := l.Relay.Run("ip", "-6", "route", "flush", "proto", "87"); err != nil {
		return 0, 0, err
	}
	if _, err := l.Relay.Run("nft", "delete", "table", "inet", "fairlead"); err != nil {
		return 0, 0, err
	}
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
		return 0, 0, err
	}
	client, err := l.Asker()
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	answered := make(chan error, 1)
	start := time.Now()
	if err := l.fairlead.Launch(); err != nil {
		return 0, 0, err
	}
	go func() {
		err := client.Answered(dhcp6.Renew, 10*time.Millisecond)
		renewed = time.Since(start)
		answered <- err
	}()
	err = l.fairlead.Ready()
	ready = time.Since(start)
	l.Processes = l.Processes[:0]
	l.Processes = append(l.Processes, l.fairlead.Proc())
	err = errors.Join(err, <-answered)
	return ready, renewed, err
}

// grants counts how many Replies that grant come per second.
func (s *role) grants() harness.Bench {
	const count, window = 10_000, 512
	return s.single("grants", func(l *loaded, who string, _ int, to *harness.Results) error {
		res, err := l.grant(count, window)
		if err == nil {
			res.AddTo(to, s.of("Grants", who))
		}
		return err
	}, harness.Bar{
		Name: s.bar("grants"), Wanted: fmt.Sprintf("at least %d/s", wantGrants),
		Judge: func(r *harness.Results) harness.Verdict {
			rate := r.Median(s.of("Grants", ours), network.Rate)
			return harness.Verdict{Figure: fmt.Sprintf("%.0f/s", rate), Met: rate >= wantGrants}
		},
	})
}

// grantGrowth compares the CPU time of a grant among few delegations with that of a grant among
// many. Both relays have granted and ended some before.
func (s *role) grantGrowth() harness.Bench {
	const few, count = 100, 2000
	var small *loaded
	play := func(many *loaded, to *harness.Results) error {
		if err := s.fill(small.Network, small.fairlead, few); err != nil {
			return err
		}
		cheap, err := small.grant(count, window)
		if err != nil {
			return err
		}
		dear, err := many.grant(count, window)
		if err != nil {
			return err
		}
		if to != nil {
			cheap.AddTo(to, s.named("Growth", "few", ours))
			dear.AddTo(to, s.named("Growth", "many", ours))
		}
		return small.clear()
	}
	b := s.single("grant-growth", func(many *loaded, who string, round int, to *harness.Results) (err error) {
		if small == nil { // the first round warms both up
			if small, err = s.load(plan{name: who}, false, 0); err == nil {
				err = play(many, nil)
			}
		}
		if err == nil {
			err = play(many, to)
		}
		return err
	}, harness.Bar{
		Name: s.bar("grant-growth"), Wanted: fmt.Sprintf("at most %g", wantGrowth),
		Judge: func(r *harness.Results) harness.Verdict {
			among := r.Shares(s.named("Growth", "many", ours), s.named("Growth", "few", ours), network.CPU)
			return harness.AtMost(wantGrowth, harness.Median(among), "the cost among "+fmt.Sprint(few))
		},
	})
	b.End = func() error {
		if small == nil {
			return nil
		}
		return small.Close()
	}
	return b
}

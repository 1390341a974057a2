package servers

import (
	"errors"
	"fmt"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// What is wanted, and when a rate counts as a peak.
const (
	wantCPU  = 0.5
	wantRate = 1.5
	mostLoss = 0.005

	wide = "2001:db8:4000::/34"
)

// EqualRate is how many exchanges per second perfdhcp asks of both servers: half of what Kea can
// do.
const EqualRate = 8000

// windows are the numbers of exchanges under way among which the peak is searched.
var windows = []int{16, 64, 128, 256, 512, 1024}

// contest has each server in a network of its own, in turns.
func (s *Suite) contest() harness.Bench {
	all := map[string]*server{}
	return harness.Bench{
		Name: "contest6", Between: []string{ours, kea},
		Begin: func(who string) (err error) {
			if all[who], err = s.begin(who, wide, nil); err == nil {
				err = all[who].Rest()
			}
			return err
		},
		Turns: []harness.Turn{func(who string, _ int, to *harness.Results) error {
			return all[who].InTurn(func() error { return errors.Join(s.equal(all[who], who, to), s.peak(all[who], who, to)) })
		}},
		End: func() (err error) {
			for _, one := range all {
				err = errors.Join(err, one.Close())
			}
			return err
		},
		Bars: []harness.Bar{
			{Name: "server6-cpu-vs-kea", Wanted: fmt.Sprintf("at most %g", wantCPU), Judge: cpuVsKea},
			{Name: "server6-rate-vs-kea", Wanted: fmt.Sprintf("at least %g", wantRate), Judge: rateVsKea},
		},
	}
}

// named returns the name of figures in the Go benchmark format.
func named(load, who string) string { return "Server6/load=" + load + "/server=" + who }

// next returns numbers of clients that have not asked yet.
func (s *Suite) next(clients int) (first int) {
	first = s.clients
	s.clients += clients
	return first
}

// equal plays the load that is the same for both servers, by perfdhcp.
func (s *Suite) equal(one *server, who string, to *harness.Results) error {
	if err := one.Idle(); err != nil {
		return err
	}
	res, err := perfdhcp(one.Network, EqualRate, s.Length, s.next(1))
	if err == nil {
		add(to, named("equal", who), res)
	}
	return err
}

// peak finds the window with which a server answers the most exchanges without loss.
func (s *Suite) peak(one *server, who string, to *harness.Results) error {
	const clients = 1 << 18 // more than any server serves in that time
	var best network.Result
	among := 0
	for _, w := range windows {
		res, err := one.Play(network.Load{Clients: clients, First: s.next(clients), Mix: "four-way=1", Window: w, Length: s.Length})
		if err != nil {
			return err
		}
		if res.Loss() < mostLoss && res.AnsweredRate > best.AnsweredRate {
			best, among = res, w
		}
	}
	if among == 0 {
		return errors.New("it lost too many exchanges in every window")
	}
	add(to, named("peak", who), best)
	to.Add(named("peak", who), best.Answered, harness.Of(float64(among), window))
	return nil
}

func add(to *harness.Results, name string, res network.Result) {
	res.AddTo(to, name)
	to.Add(name, res.Answered, harness.Of(res.Busy, busy))
}

// cpuVsKea is judged at the equal load. The figure at the peak of each server is shown.
func cpuVsKea(r *harness.Results) harness.Verdict {
	ratio := func(load string) float64 {
		return harness.Median(r.Shares(named(load, ours), named(load, kea), network.CPU))
	}
	v := harness.AtMost(wantCPU, ratio("equal"), "Kea's")
	v.Notes = []string{fmt.Sprintf("CPU time of a four-way exchange at each one's peak: %.2f times Kea's.", ratio("peak"))}
	return judgeable(r, "equal", v)
}

func rateVsKea(r *harness.Results) harness.Verdict {
	rate := func(who string) float64 { return r.Median(named("peak", who), network.Rate) }
	v := harness.AtLeast(wantRate, rate(ours)/rate(kea), "Kea's")
	v.Figure += fmt.Sprintf(" (%.0f/s and %.0f/s)", rate(ours), rate(kea))
	return judgeable(r, "peak", v)
}

// judgeable makes a verdict void if the generator was measured in place of the server, or if too
// much was lost.
func judgeable(r *harness.Results, load string, v harness.Verdict) harness.Verdict {
	if v.Void != "" {
		return harness.Unknown(v.Void)
	}
	for _, who := range []string{ours, kea} {
		if share := r.Median(named(load, who), busy); share > mostBusy {
			v.Void = fmt.Sprintf("the generator's core was busy for %.0f %% of the time beside %s, and %.0f are allowed", 100*share, who, 100*mostBusy)
		}
		if loss := r.Median(named(load, who), network.Loss); loss >= mostLoss {
			v.Void = fmt.Sprintf("%s lost %.1f %%, and %.1f are allowed", who, 100*loss, 100*mostLoss)
		}
	}
	return v
}

// Tables returns the figures of both servers.
func Tables(r *harness.Results) []harness.Grid {
	g := harness.Grid{
		Title: "server6: four-way exchanges with IA_PD, each for a new lease",
		Head: []string{
			"server", fmt.Sprintf("CPU us/exchange at %d/s", EqualRate), "loss", "generator busy",
			"exchanges/s at its peak", "under way", "CPU us/exchange", "p50 us", "p99 us", "loss", "generator busy", "RSS MB",
		},
	}
	for _, who := range []string{ours, kea} {
		if len(r.Values(named("equal", who), network.CPU)) == 0 {
			continue
		}
		row := []string{who}
		for _, c := range []struct {
			load, unit, format string
			times              float64
		}{
			{"equal", network.CPU, "%.1f", 1e6},
			{"equal", network.Loss, "%.1f %%", 100},
			{"equal", busy, "%.0f %%", 100},
			{"peak", network.Rate, "%.0f", 1},
			{"peak", window, "%.0f", 1},
			{"peak", network.CPU, "%.1f", 1e6},
			{"peak", network.P50, "%.0f", 1e6},
			{"peak", network.P99, "%.0f", 1e6},
			{"peak", network.Loss, "%.1f %%", 100},
			{"peak", busy, "%.0f %%", 100},
			{"peak", network.RSS, "%.0f", 1e-6},
		} {
			row = append(row, harness.Figure(c.format, c.times*r.Median(named(c.load, who), c.unit)))
		}
		g.Rows = append(g.Rows, row)
	}
	if len(g.Rows) == 0 {
		return nil
	}
	return []harness.Grid{g}
}

package relays

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"fairlead/internal/core/loadgen"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// overloadFactor is how much more than its peak a relay is offered. enoughOverload is how much
// must really have been sent, so that the round counts.
const (
	overloadFactor = 1.5
	enoughOverload = 1.4
)

const (
	window     = 64   // exchanges under way, in a closed loop
	peakWindow = 512  // in a closed loop in which answers wait for a disk
	openRate   = 2000 // exchanges per second, in an open loop

	manyClients = 4096 // shows what costs more with many clients
)

// These figures are wanted.
const (
	wantVsBlind   = 1.2  // times the blind forwarder's CPU
	wantVsPeer    = 0.75 // times the best peer's
	wantMixVsPeer = 1.0
	wantOverload  = 0.9 // of the peak
)

// contest has every contender in a network of its own, in turns.
type contest struct {
	*role
	networks map[string]*network.Network
	granted  map[string]int // how many clients have a lease
}

func (s *role) contest() harness.Bench {
	c := &contest{s, map[string]*network.Network{}, map[string]int{}}
	b := harness.Bench{
		Name: s.bench("contest"), Between: s.between(), Begin: c.enter, Turns: []harness.Turn{c.turn, c.crowd}, End: c.leave,
		Bars: []harness.Bar{
			{Name: s.bar("cpu-vs-blind-c"), Wanted: fmt.Sprintf("at most %g", wantVsBlind), Judge: s.vsBlind},
			{Name: s.bar("cpu-vs-best-peer"), Wanted: fmt.Sprintf("at most %g", wantVsPeer), Judge: s.vsPeer},
			{Name: s.bar("overload"), Wanted: fmt.Sprintf("at least %g", wantOverload), Judge: s.overload},
		},
	}
	if s.family == loadgen.DHCPv6 {
		b.Bars = slices.Insert(b.Bars, 2, harness.Bar{Name: s.bar("mix-vs-best-peer"), Wanted: fmt.Sprintf("at most %g", wantMixVsPeer), Judge: s.mixVsPeer})
	}
	if s.against != "" {
		b.Turns = b.Turns[:1]
	}
	return b
}

// enter starts a contender, warms it up, and stops it with SIGSTOP.
func (c *contest) enter(who string) error {
	n, err := c.network(who, false)
	if err != nil {
		return err
	}
	c.networks[who] = n
	if err := n.Know(c.clients); err != nil {
		return err
	}
	if c.isOurs(who) {
		f, err := c.start(n, plan{name: who})
		if err != nil {
			return err
		}
		if err := c.fill(n, f, c.present); err != nil {
			return err
		}
		c.granted[who] = c.present
	} else if err := c.launch(who, n); err != nil {
		return err
	}
	if _, err = n.Play(network.Load{Clients: c.clients, Mix: c.plainMix, Window: window, Length: c.length}); err != nil {
		return err
	}
	if c.family == loadgen.DHCPv4 {
		err = delivers(n)
	}
	return errors.Join(err, n.Rest())
}

// delivers checks that a client of DHCPv4 gets what a relay agent delivers. In DHCPv6, anything
// else would be no answer.
func delivers(n *network.Network) error {
	client, err := n.Asker()
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Relayed(time.Second)
}

// leave ends the contenders, so that they and their entries in the neighbour table do not disturb
// later benches.
func (c *contest) leave() error {
	var errs []error
	for _, n := range c.networks {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// turn plays the plain load and, for a contender that keeps state, the mix.
func (c *contest) turn(who string, _ int, to *harness.Results) error {
	return c.networks[who].InTurn(func() error {
		if err := c.plain(who, to); err != nil {
			return err
		}
		if !c.isOurs(who) || !c.Wants(c.bar("mix-vs-best-peer"), c.bar("overload")) {
			return nil
		}
		return c.mix(who, to)
	})
}

// plain plays the plain load in a closed loop, in an open loop, and above the peak that the
// closed loop has shown. For two versions the closed loop is enough.
func (c *contest) plain(who string, to *harness.Results) error {
	l := network.Load{Clients: c.clients, Mix: c.plainMix, Window: window, Length: c.length}
	peak, err := c.play(to, "Plain", "closed", who, l)
	if err != nil || c.against != "" {
		return err
	}
	l.Rate = openRate
	if _, err = c.play(to, "Plain", "open", who, l); err != nil {
		return err
	}
	l.Rate = overloadFactor * peak
	_, err = c.play(to, "Plain", "overload", who, l)
	return err
}

// mix plays the mix in the same closed loop, in a wider one, which keeps the relay busy while its
// disk works, and above the peak of both.
func (c *contest) mix(who string, to *harness.Results) error {
	closed, err := c.play(to, "Mix", "closed", who, c.mixedLoad(who, window))
	if err != nil {
		return err
	}
	wider, err := c.play(to, "Mix", "peak", who, c.mixedLoad(who, peakWindow))
	if err != nil || c.against != "" {
		return err
	}
	l := c.mixedLoad(who, 0)
	l.Rate = overloadFactor * max(closed, wider)
	_, err = c.play(to, "Mix", "overload", who, l)
	return err
}

// play plays a load and returns the rate of the answers.
func (c *contest) play(to *harness.Results, bench, load, who string, l network.Load) (rate float64, err error) {
	res, err := c.networks[who].Play(l)
	if err == nil {
		res.AddTo(to, c.named(bench, load, who))
	}
	return res.AnsweredRate, err
}

// mixedLoad is the mix, played by clients that the relay has not seen before. Some of them get a
// delegation beforehand, which they renew; the others ask for one during the measurement.
func (c *contest) mixedLoad(who string, window int) network.Load {
	const numbers, renewing = 1 << 15, 1024
	l := network.Load{First: c.granted[who], Clients: numbers, Prepare: renewing, Mix: c.fullMix, Length: c.length, Window: window}
	c.granted[who] += numbers
	return l
}

// crowd plays the plain load with many clients. It comes last, because what a relay has learned
// of them may make it slower from then on.
func (c *contest) crowd(who string, _ int, to *harness.Results) error {
	n := c.networks[who]
	return n.InTurn(func() error {
		if err := n.Know(manyClients); err != nil {
			return err
		}
		_, err := c.play(to, "Crowd", "closed", who, network.Load{Clients: manyClients, Mix: c.plainMix, Window: window, Length: c.length})
		return err
	})
}

func (s *role) plainCPU(r *harness.Results, who string) float64 {
	return r.Median(s.named("Plain", "closed", who), network.CPU)
}

// mixCPU returns the figure of the wider closed loop: with few exchanges under way, the relay
// mostly waits for its disk, and each commit contains little.
func (s *role) mixCPU(r *harness.Results, who string) float64 {
	return r.Median(s.named("Mix", "peak", who), network.CPU)
}

// best returns the peer with the least CPU time for a plain exchange, and an empty name if no
// peer took part.
func (s *role) best(r *harness.Results) string {
	var peers []string
	for _, c := range s.contenders {
		if c.isPeer() && !math.IsNaN(s.plainCPU(r, c.name)) {
			peers = append(peers, c.name)
		}
	}
	if len(peers) == 0 {
		return ""
	}
	return slices.MinFunc(peers, func(a, b string) int { return cmp.Compare(s.plainCPU(r, a), s.plainCPU(r, b)) })
}

func (s *role) vsBlind(r *harness.Results) harness.Verdict {
	return s.judgeable(r, harness.AtMost(wantVsBlind, s.plainCPU(r, ours)/s.plainCPU(r, limit), "the blind forwarder's"))
}

func (s *role) vsPeer(r *harness.Results) harness.Verdict {
	return s.judgeable(r, harness.AtMost(wantVsPeer, s.plainCPU(r, ours)/s.plainCPU(r, s.best(r)), s.best(r)+"'s"))
}

func (s *role) mixVsPeer(r *harness.Results) harness.Verdict {
	return s.judgeable(r, harness.AtMost(wantMixVsPeer, s.mixCPU(r, ours)/s.plainCPU(r, s.best(r)), s.best(r)+"'s for plain"))
}

// judgeable makes a verdict void if the figures show something other than the relays: that is so
// if the blind forwarder is not far ahead of ISC dhcrelay.
func (s *role) judgeable(r *harness.Results, v harness.Verdict) harness.Verdict {
	blind, slow := r.Median(s.named("Plain", "closed", limit), network.Rate), r.Median(s.named("Plain", "closed", isc), network.Rate)
	switch {
	case v.Void != "":
		v.Void = "not everybody who is needed took part"
	case math.IsNaN(blind / slow):
		v.Void = "the blind forwarder and ISC dhcrelay must take part"
	case blind/slow < s.blindVsISC:
		v.Void = fmt.Sprintf("the blind forwarder did %.1f times what ISC dhcrelay did, and %g are needed", blind/slow, s.blindVsISC)
	}
	return v
}

// overload judges the bar of goodput above the peak, round by round.
func (s *role) overload(r *harness.Results) harness.Verdict {
	above := s.named("Mix", "overload", ours)
	offered, answered := r.Values(above, network.Offered), r.Values(above, network.Rate)
	peaks := r.Values(s.named("Mix", "closed", ours), network.Rate)
	for i, wider := range r.Values(s.named("Mix", "peak", ours), network.Rate) {
		peaks[i] = max(peaks[i], wider)
		offered[i] /= peaks[i]
		answered[i] /= peaks[i]
	}
	v := harness.AtLeast(wantOverload, harness.Median(answered), "the peak")
	if v.Void != "" {
		return v
	}
	times := harness.Median(offered)
	v.Figure += fmt.Sprintf(" of %.0f/s, with %.2f times offered", harness.Median(peaks), times)
	if times < enoughOverload {
		v.Void = fmt.Sprintf("only %.2f times the peak was sent, and %g are needed", times, enoughOverload)
	}
	return v
}

package relays

import (
	"fmt"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// These figures are wanted.
const (
	wantFlood     = 0.9
	wantElsewhere = 0.5 // percent that are lost because of the flood
)

// honestRate is the rate of the honest clients, in messages per second; leastFlood is the least
// rate of a flood that counts, and leastElsewhere that of a flood on another link.
const (
	honestRate     = 500
	leastFlood     = 10 * honestRate
	leastElsewhere = 100_000
)

// flood is the unit for the rate of a flood.
const flood = "flood-messages/s"

// flood measures honest clients at a steady rate: alone, and beside a host on the same link that
// sends as fast as it can, with one link-layer address and with a new address in each message.
func (s *role) flood() harness.Bench {
	var l *loaded
	return harness.Bench{
		Name: s.bench("flood"), Between: []string{ours},
		Begin: func(who string) (err error) {
			if l, err = s.load(plan{name: who}, true, s.present); err == nil {
				err = l.fairlead.Reload(s.configuration(l.Network, plan{name: who, protected: true}))
			}
			return err
		},
		Turns: []harness.Turn{func(_ string, _ int, to *harness.Results) error {
			alone, err := s.honest(l)
			if err != nil {
				return err
			}
			alone.AddTo(to, s.beside("nobody"))
			for name, addresses := range map[string]int{"one": 1, "many": 1 << 16} {
				var honest network.Result
				other := network.Load{Clients: addresses, First: floodNumbers, Rate: 100_000, Mix: s.ask, Length: 2 * s.length}
				sent, err := l.Beside("f0", other, func() (err error) {
					honest, err = s.honest(l)
					return err
				})
				if err != nil {
					return err
				}
				honest.AddTo(to, s.beside(name))
				to.Add(s.beside(name), sent.Offered, harness.Of(sent.OfferedRate, flood))
			}
			return nil
		}},
		End:  func() error { return l.Close() },
		Bars: []harness.Bar{{Name: s.bar("flood"), Wanted: fmt.Sprintf("at least %g", wantFlood), Judge: s.judgeFlood}},
	}
}

// beside returns the name for figures of honest clients beside a flood.
func (s *role) beside(whom string) string { return s.bench("Flood") + "/beside=" + whom }

// judgeFlood takes the smaller share of their rate that honest clients kept.
func (s *role) judgeFlood(r *harness.Results) harness.Verdict {
	kept := func(whom string) float64 {
		return harness.Median(r.Shares(s.beside(whom), s.beside("nobody"), network.Rate))
	}
	sentOne, sentMany := r.Median(s.beside("one"), flood), r.Median(s.beside("many"), flood)
	v := harness.AtLeast(wantFlood, min(kept("one"), kept("many")), "their rate")
	v.Figure += fmt.Sprintf(" (%.2f beside %.0f/s from one address, %.2f beside %.0f/s from many)", kept("one"), sentOne, kept("many"), sentMany)
	if min(sentOne, sentMany) < leastFlood {
		v.Void = fmt.Sprintf("the flood was under %d/s", leastFlood)
	}
	return v
}

func (s *role) honest(l *loaded) (network.Result, error) {
	return l.Play(network.Load{Clients: 256, First: warmNumbers, Rate: honestRate, Mix: s.plainMix, Length: s.length})
}

// otherPort and otherLink are the ends, in gen and at the relay, of the other link, from which
// the flood comes.
const otherPort, otherLink = "e0", "d1"

// Units of a flood on another link.
const (
	thrown = "thrown"    // messages of the flood
	throws = "throw-sec" // how long it took to send them
)

// floodElsewhere measures honest clients on one link, beside a flood on another link: once the
// relay does not serve that link, and once it does.
func (s *role) floodElsewhere() harness.Bench {
	var l *loaded
	plans := map[string]plan{"no": {name: ours, protected: true}, "yes": {name: ours, protected: true, others: []string{otherLink}}}
	return harness.Bench{
		Name: s.bench("flood-elsewhere"), Between: []string{"no", "yes"},
		Begin: func(served string) (err error) {
			if l != nil {
				return nil // it is one relay with two configurations
			}
			if l, err = s.load(plans[served], false, 0); err != nil {
				return err
			}
			if err := l.Veth(l.Gen, otherPort, l.Relay, otherLink); err != nil {
				return err
			}
			_, err = l.Relay.LinkLocal(otherLink)
			return err
		},
		Turns: []harness.Turn{func(served string, _ int, to *harness.Results) error {
			if err := l.fairlead.Reload(s.configuration(l.Network, plans[served])); err != nil {
				return err
			}
			var honest network.Result
			sent, took, err := l.Throw(otherPort, func() (err error) {
				honest, err = s.honest(l)
				return err
			})
			if err != nil {
				return err
			}
			addAnswered(to, "FloodElsewhere/served="+served, honest)
			to.Add("FloodElsewhere/served="+served, sent, harness.Of(float64(sent), thrown), harness.Of(took.Seconds(), throws))
			return nil
		}},
		End:  func() error { return l.Close() },
		Bars: []harness.Bar{{Name: s.bar("flood-elsewhere"), Wanted: fmt.Sprintf("at most %g %%", wantElsewhere), Judge: judgeElsewhere}},
	}
}

// judgeElsewhere compares how much was lost beside the flood on a link that is served, and beside
// the flood on one that is not.
func judgeElsewhere(r *harness.Results) harness.Verdict {
	lost := func(served string) float64 {
		name := "FloodElsewhere/served=" + served
		return 100 * (1 - r.Sum(name, answers)/r.Sum(name, messages))
	}
	rate := func(served string) float64 {
		name := "FloodElsewhere/served=" + served
		return r.Sum(name, thrown) / r.Sum(name, throws)
	}
	more := lost("yes") - lost("no")
	if more != more || rate("yes") != rate("yes") || rate("no") != rate("no") {
		return harness.Unknown("nothing was measured")
	}
	v := harness.Verdict{
		Figure: fmt.Sprintf("%.2f %% more (%.2f %% beside %.0f/s on a link that is served, %.2f %% beside %.0f/s on one that is not)",
			more, lost("yes"), rate("yes"), lost("no"), rate("no")),
		Met: more <= wantElsewhere,
	}
	if min(rate("yes"), rate("no")) < leastElsewhere {
		v.Void = fmt.Sprintf("the flood was under %d/s", leastElsewhere)
	}
	return v
}

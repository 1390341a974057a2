package kernel

import (
	"context"
	"errors"
	"testing"

	"fairlead/internal/app/config"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
)

// refusing takes note of operations, and carries out none.
type refusing struct{ ops int }

func (r *refusing) Apply(ops []hoststate.Op, _ func(int, error)) error {
	r.ops += len(ops)
	return errors.New("refused")
}

// What a part takes out by one of its hosts is told where another part of its family might want
// it. Where nobody takes in what is told, a comparison is asked for, and nothing waits.
func TestTakenOutIsTold(t *testing.T) {
	b, _ := newComparerBench(t, nil)
	k := &Kernel{comparer: b.comparer, families: map[config.Family]int{}, gone: make(chan []hoststate.Op, 1)}
	one, four := k.Part(config.DHCPv6), k.Part(config.DHCPv4)
	route, element := strayRoute(1), hoststate.Element{Set: hoststate.Checked, Link: "d0"}
	ops := []hoststate.Op{{Remove: true, Route: &route}, {Remove: true, Element: &element}, {Route: &route}}
	host := new(refusing)
	apply := func(p *Part) {
		t.Helper()
		d := door{host, p, func(op hoststate.Op) bool { return op.Route != nil }}
		if err := d.Apply(ops, nil); err == nil {
			t.Error("the host's error is lost")
		}
	}
	apply(one)
	if len(k.gone) > 0 {
		t.Error("it is told where no other part could want it")
	}
	two := k.Part(config.DHCPv6)
	apply(four)
	if len(k.gone) > 0 {
		t.Error("it is told of another family")
	}
	apply(two)
	apply(one)
	if gone := <-k.gone; len(gone) != 1 || gone[0].Route != &route || !gone[0].Remove {
		t.Errorf("told: %v, want the route alone", gone)
	}
	if len(b.due) != 1 || host.ops != 4*len(ops) {
		t.Errorf("%d comparisons are due, %d operations were carried out; want one, and all", len(b.due), host.ops)
	}
	if len(one.Aggregates(aggregating)) != 1 || two.Aggregates(aggregating) != nil {
		t.Error("the aggregates are not the first part's alone")
	}
}

var aggregating = &config.Config{Host: config.Host{Aggregates: []hoststate.Aggregate{{}}}}

// All parts are asked what they want of what one has taken out.
func TestOthersAreAsked(t *testing.T) {
	b, first := newComparerBench(t, nil)
	second := newPlayed()
	b.parts = append(b.parts, second)
	k := &Kernel{comparer: b.comparer, gone: make(chan []hoststate.Op)}
	wanted := strayRoute(1)
	second.ledger.Install(second.state.SetAggregates(nil, []hoststate.Aggregate{{Prefix: wanted.Prefix, Metric: wanted.Metric}}), new(effect.Effects))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- k.askOthers(ctx) }()
	k.gone <- []hoststate.Op{{Remove: true, Route: &wanted}}
	k.gone <- nil // which is taken in once all were asked
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(first.done) != 0 || len(second.done) != 1 || *second.done[0].Route != wanted || second.done[0].Remove {
		t.Errorf("the one had installed %v, the other %v, want the route of the other", first.done, second.done)
	}
}

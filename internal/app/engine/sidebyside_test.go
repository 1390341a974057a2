package engine

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/netlink"
)

// meeting is an Installer that ends its work only after the other one has begun.
type meeting struct {
	begins, other chan struct{}
	refuses       int   // the operation that it refuses; -1: none
	err           error // what Apply returns
}

var errAlone = errors.New("the other installer did not begin")

func (m *meeting) Apply(_ []hoststate.Op, failed func(int, error)) error {
	close(m.begins)
	select {
	case <-m.other:
	case <-time.After(10 * time.Second): // only if the test fails
		return errAlone
	}
	if m.refuses >= 0 {
		failed(m.refuses, netlink.ErrRefused)
	}
	return m.err
}

// settling is a core that only writes down the outcomes of Changes.
type settling struct {
	Core
	outcomes []effect.Outcome
}

func (s *settling) Settle(_ instant.Now, o effect.Outcome, _ *effect.Effects) {
	s.outcomes = append(s.outcomes, o)
}

// silent is a role that tells nobody anything.
type silent struct{ Role[*settling] }

func (silent) Tell(*effect.Effects) {}

// carriedOut returns the outcome of a Change with a route and an element that two installers
// carry out before the engine runs.
func carriedOut(t *testing.T, routes, elements *meeting) effect.Outcome {
	t.Helper()
	routes.begins, elements.begins = make(chan struct{}), make(chan struct{})
	routes.other, elements.other = elements.begins, routes.begins
	e := &Engine[*settling]{Core: &settling{}, role: silent{}, pipe: newPipeline(slog.New(slog.DiscardHandler), newBench(), []Installer{routes, elements})}
	p := netip.MustParsePrefix("2001:db8:1::/56")
	e.CarryOutNow(func() instant.Now { return instant.Now{} }, &effect.Effects{Changes: []effect.Change{{ID: 1, Host: []hoststate.Op{
		{Route: &hoststate.Route{Prefix: p}}, {Element: &hoststate.Element{Prefix: p}},
	}}}})
	if len(e.Core.outcomes) != 1 {
		t.Fatalf("%d outcomes of one change", len(e.Core.outcomes))
	}
	return e.Core.outcomes[0]
}

func TestBeforeTheEngineRunsRoutesAndElementsAreInstalledSideBySide(t *testing.T) {
	if o := carriedOut(t, &meeting{refuses: -1}, &meeting{refuses: -1}); len(o.Install) > 0 {
		t.Errorf("the installers did not work at the same time: %v", o.Install)
	}
}

func TestWhatOneOfTwoInstallersRefusesIsToldOnce(t *testing.T) {
	o := carriedOut(t, &meeting{refuses: 0}, &meeting{refuses: 1})
	routes, elements := 0, 0
	for _, f := range o.Install {
		if !errors.Is(f.Err, effect.ErrRefused) {
			t.Errorf("%v: not called refused", f.Err)
		}
		if f.Op.Route != nil {
			routes++
		} else {
			elements++
		}
	}
	if routes != 1 || elements != 1 {
		t.Errorf("refused were one route and one element, told were %d and %d", routes, elements)
	}
}

func TestWhereAnInstallerFailsNothingCountsAsInstalled(t *testing.T) {
	broken := errors.New("broken")
	o := carriedOut(t, &meeting{refuses: -1}, &meeting{refuses: -1, err: broken})
	if len(o.Install) != 2 {
		t.Fatalf("%d of 2 operations are told of", len(o.Install))
	}
	for _, f := range o.Install {
		if !errors.Is(f.Err, broken) {
			t.Errorf("told was %v", f.Err)
		}
	}
}

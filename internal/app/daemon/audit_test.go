package daemon

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
)

// Something changes each time that the kernel is read. The route that is left
// over each time is reported; those that were on their way are not.
func TestAuditUnderLoadReportsNoneThatIsOnItsWay(t *testing.T) {
	l, q := newQuietLoop(t)
	q.run(t, l)
	ctx := t.Context()
	d := &daemon{log: l.log, loop: l, pipe: l.pipe, feed: control.NewFeed(), cfg: &config.Config{}, findings: map[string]uint64{}}

	looks := 0
	change := func() {
		err := l.call(ctx, func(n instant.Now, eff *relay6.Effects) {
			l.core.Clear(n, delegation.Selection{Link: strconv.Itoa(looks)}, true, eff)
		})
		if err != nil {
			t.Error(err)
		}
	}
	foreign := func(n int) hoststate.Route {
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0xee, byte(n)}
		return hoststate.Route{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 48), Table: hoststate.MainTable, Metric: 1}
	}
	a := &auditor{d: d, mend: func() (bool, error) { return false, nil }, due: make(chan struct{}, 1), late: make(chan struct{}, 1)}
	a.actual = func() (hoststate.Actual, error) {
		looks++
		change()
		return hoststate.Actual{Routes: []hoststate.Route{foreign(0), foreign(looks)}}, nil
	}
	began := time.Now()
	found, err := a.audit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if looks != tries {
		t.Errorf("the kernel was read %d times, want %d", looks, tries)
	}
	left := d.findings[hoststate.LeftOver.String()]
	if left != 1 {
		t.Errorf("%d left over reported, want the one that was there each time", left)
	}
	if last, n := a.state(); n != found || last.Before(began) {
		t.Errorf("state %v, %d; want %d found after %v", last, n, found, began)
	}
}

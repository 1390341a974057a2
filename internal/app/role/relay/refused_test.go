package relay

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
	"fairlead/internal/app/network"
	"fairlead/internal/core/binding"
)

// Refused grants are in status by link and reason, with the last prefix, until nothing
// more of their kind comes for some time. What a limit refuses has a line of its own,
// and is not among them. Many links fill no memory.
func TestRefusedGrants(t *testing.T) {
	begin := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	first, second := netip.MustParsePrefix("2001:db8:100::/56"), netip.MustParsePrefix("2001:db8:200::/56")
	event := func(link string, reason binding.Reason, p netip.Prefix) *binding.Event {
		return &binding.Event{Kind: binding.Refused, Reason: reason, New: binding.Binding{Link: link, Prefix: p}}
	}
	var r refusedGrants
	if got := r.lately(begin); got == nil || len(got) != 0 {
		t.Errorf("at first: %v", got)
	}
	r.take(event("c1", binding.Overlap, first), begin)
	r.take(event("c1", binding.Overlap, second), begin.Add(time.Minute))
	inTheWay := event("c0", binding.NotDelegable, first)
	inTheWay.Detail = "inside 2001:db8::/32 of up0"
	r.take(inTheWay, begin.Add(2*time.Minute))
	r.take(event("c0", binding.LimitLink, first), begin.Add(2*time.Minute))
	r.take(&binding.Event{Kind: binding.Granted, New: binding.Binding{Link: "c0", Prefix: first}}, begin.Add(2*time.Minute))
	want := []api.RefusedGrants{
		{Link: "c0", Reason: "not-delegable", Times: 1, Prefix: first, Detail: inTheWay.Detail, Last: begin.Add(2 * time.Minute)},
		{Link: "c1", Reason: "overlap", Times: 2, Prefix: second, Last: begin.Add(time.Minute)},
	}
	prefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, r.lately(begin.Add(3*time.Minute)), prefixes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:1], r.lately(begin.Add(time.Minute+network.Recent+time.Second)), prefixes); diff != "" {
		t.Errorf("when one is old (-want +got):\n%s", diff)
	}
	later := begin.Add(2 * network.Recent)
	r.take(event("c1", binding.Overlap, first), later)
	if got := r.lately(later); len(got) != 1 || got[0].Times != 1 {
		t.Errorf("after a long pause: %+v, want it counted anew", got)
	}
	for i := range 2 * maxRefused {
		r.take(event(fmt.Sprint("many", i), binding.Overlap, first), later.Add(time.Duration(i)*time.Millisecond))
	}
	if got := r.lately(later.Add(time.Second)); len(got) != maxRefused || got[0].Link != "many256" {
		t.Errorf("%d of many links, the first %s, want the newest %d", len(got), got[0].Link, maxRefused)
	}
}

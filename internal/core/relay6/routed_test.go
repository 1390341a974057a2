package relay6_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
)

// What routes of others lead to a link is permitted there as source, where the rule says
// so or the link borrows its link-address; until the route is gone, or the link.
func TestRoutedSources(t *testing.T) {
	const routed = "2001:db8:77::/64"
	for name, c := range map[string]struct {
		change func(*relay6.LinkRule)
		want   bool
	}{
		"auto, borrowed":         {func(r *relay6.LinkRule) { r.RoutedAuto, r.Borrow = true, "up0" }, true},
		"auto, not borrowed":     {func(r *relay6.LinkRule) { r.RoutedAuto = true }, false},
		"true, not borrowed":     {func(r *relay6.LinkRule) { r.Host.Routed = true }, true},
		"false, borrowed":        {func(r *relay6.LinkRule) { r.Borrow = "up0" }, false},
		"true, without a filter": {func(r *relay6.LinkRule) { r.Host.Routed, r.Host.Filter = true, hoststate.FilterOff }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, rule(c.change))
			tell := func(prefixes ...netip.Prefix) {
				w.core.SetRouted("lan0", prefixes, &w.eff)
				w.carryOut()
			}
			permitted := func(when string, want bool) {
				t.Helper()
				if got := w.kernel.Allows("lan0", routed); got != want {
					t.Errorf("%s: permitted on its link: %v, want %v", when, got, want)
				}
				if w.kernel.Allows("lan1", routed) {
					t.Errorf("%s: permitted on another link", when)
				}
			}
			if got := w.core.Rule("lan0").PermitsRouted(); got != c.want {
				t.Errorf("the rule permits: %v, want %v", got, c.want)
			}
			permitted("before the route is told", false)
			tell(cidr(routed))
			permitted("when it is told", c.want)
			tell()
			permitted("when it is gone", false)
			tell(cidr(routed))
			w.setLink("lan0", func(l *links.Link) { l.Up = false })
			permitted("when the link is down", false)
			w.setLink("lan0", func(l *links.Link) { l.Up = true })
			permitted("when it is up, and the route is not told", false)
			tell(cidr(routed))
			permitted("when it is told again", c.want)
		})
	}
}

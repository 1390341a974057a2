package rig

import (
	"fmt"
	"strings"
)

// Drowned floods a link by put, with more than the program can read, and at the end of the flood
// sends one message by send, which must have put it into the kernel when it returns. It does both
// again until the link was set apart all the time, and the kernel has dropped messages of the
// flood.
func (p *Program) Drowned(link string, put, send func()) {
	t := p.net.T
	t.Helper()
	// lost returns how many messages of links that flood the kernel has dropped, which is
	// reported while a link floods.
	lost := func() (n int, flooding bool) {
		t.Helper()
		var shown struct{ Degraded []string }
		p.Show(&shown, "status")
		for _, line := range shown.Degraded {
			if _, err := fmt.Sscanf(line, "link "+link+": floods, so what comes from it waits apart from other links; the kernel has dropped %d", &n); err == nil {
				return n, true
			}
		}
		return 0, false
	}
	// apart returns how often the link was set apart.
	apart := func() int { return strings.Count(p.Log(), "waits apart from other links") }
	// After ten seconds without a flood, the link is among the others again. On a slow machine
	// this may happen before the second burst: then all of it is done again.
	for {
		if _, flooding := lost(); !flooding {
			p.Asleep(func() {
				for range 1000 {
					put()
				}
			})
		}
		p.net.Until("the link is set apart", func() bool { _, flooding := lost(); return flooding })
		times := apart()
		before, _ := lost()
		p.Asleep(func() {
			for range 3000 {
				put()
			}
			send()
		})
		if after, flooding := lost(); flooding && apart() == times {
			if after <= before {
				t.Errorf("the kernel dropped %d messages of links that flood, before %d: that was no flood", after, before)
			}
			return
		}
	}
}

package relay6_test

import (
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/hoststate/hosttest"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

const (
	oldPrefix = "2001:db8:100::/56"
	newPrefix = "2001:db8:200::/56"
)

// holds is a world in which Alice holds a prefix, and whose clients are listened to.
func holds(t *testing.T, change ...func(*relay6.Config)) (*world, *told) {
	w := newWorld(t, change...)
	k := listen(w)
	w.lease(alice, iaPD(1, prefix(oldPrefix, 600)))
	w.tick() // keeps what is due at every start
	w.order = nil
	return w, k
}

func (w *world) wantOrder(what string, want ...string) {
	w.Helper()
	if !slices.Equal(w.order, want) {
		w.Errorf("%s: done in the order %q, want %q", what, w.order, want)
	}
	w.order = nil
}

// What a Reply takes is told, then kept, then taken out of the kernel; what it grants
// is kept, then installed, then told; and one that does both is two changes around
// one datagram.
func TestOrderOfEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		options []option
		want    []string
		held    []string
	}{
		"end":              {[]option{iaPD(1, prefix(oldPrefix, 0))}, []string{"send", "keep", "install"}, nil},
		"shorter":          {[]option{iaPD(1, prefix(oldPrefix, 60))}, []string{"send", "keep"}, []string{"lan0 " + oldPrefix + " via fe80::a for 1m0s"}},
		"longer":           {[]option{iaPD(1, prefix(oldPrefix, 900))}, []string{"keep", "send"}, []string{"lan0 " + oldPrefix + " via fe80::a for 15m0s"}},
		"renumbered":       {[]option{iaPD(1, prefix(newPrefix, 600), prefix(oldPrefix, 0))}, []string{"keep", "install", "send", "keep", "install"}, []string{"lan0 " + newPrefix + " via fe80::a for 10m0s"}},
		"deprecated":       {[]option{iaPD(1, prefix(newPrefix, 600), prefix(oldPrefix, 60))}, []string{"keep", "install", "send", "keep"}, []string{"lan0 " + newPrefix + " via fe80::a for 10m0s", "lan0 " + oldPrefix + " via fe80::a for 1m0s"}},
		"ended and back":   {[]option{iaPD(1, prefix(oldPrefix, 0), prefix(oldPrefix, 900))}, []string{"keep", "send"}, []string{"lan0 " + oldPrefix + " via fe80::a for 15m0s"}},
		"back, shorter":    {[]option{iaPD(1, prefix(oldPrefix, 0), prefix(oldPrefix, 60))}, []string{"keep", "send", "keep"}, []string{"lan0 " + oldPrefix + " via fe80::a for 1m0s"}},
		"granted, shorter": {[]option{iaPD(1, prefix(newPrefix, 600), prefix(newPrefix, 60))}, []string{"keep", "install", "send", "keep"}, []string{"lan0 " + newPrefix + " via fe80::a for 1m0s", "lan0 " + oldPrefix + " via fe80::a for 10m0s"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, k := holds(t)
			w.exchange(alice, dhcp6.Renew, tc.options...)
			w.wantOrder(name, append([]string{"send"}, tc.want...)...) // the Renew goes up first
			w.wants(tc.held...)
			k.crash()
			w.wants(tc.held...)
		})
	}
}

// A Release goes up before it is kept, and ends what it gives back also where it
// could not be forwarded. RFC 8987 G-9.
func TestOrderOfARelease(t *testing.T) {
	release := message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix(oldPrefix, 0)))
	w, _ := holds(t)
	w.says(alice, release)
	w.wantOrder("a Release", "send", "keep", "install")
	w.wants()

	w, _ = holds(t, func(c *relay6.Config) {
		p := server("gone", "fe80::5")
		p.Zone, p.Interfaces = "up1", []string{"up1"}
		c.Peers = append(c.Peers, p)
	})
	w.removeLink("up0")
	w.cfg.Peers = slices.DeleteFunc(slices.Clone(w.cfg.Peers), func(p trust.Peer) bool { return p.Name == "srv" })
	w.core.Reconfigure(w.cfg, &w.eff)
	w.carryOut()
	w.order = nil
	if got := w.says(alice, release); len(got) != 0 || w.dropped(effect.DropNoServer) != 1 {
		t.Fatalf("forwarded %d, drops %v; want none forwarded, for no-server", len(got), w.drops)
	}
	w.wantOrder("a Release that no server gets", "keep", "install")
	w.restart()
	w.wants()
}

// What ends without a word to anybody is kept at once.
func TestOrderOfWhatNobodyIsTold(t *testing.T) {
	w, _ := holds(t)
	w.sleep(time.Hour)
	w.wantOrder("expired", "keep", "install")
	w, _ = holds(t)
	w.core.Clear(w.now, delegation.Selection{All: true}, &w.eff)
	w.carryOut()
	w.wantOrder("cleared", "keep", "install")
}

// An end waits behind what its client waits for: its Reply must not overtake, and it
// is not kept before that Reply has left.
func TestEndBehindAnUnfinishedGrant(t *testing.T) {
	for name, lease := range map[string]option{
		"end":          iaPD(1, prefix(oldPrefix, 0)),
		"shorter":      iaPD(1, prefix(oldPrefix, 60)),
		"of the grant": iaPD(2, prefix(newPrefix, 60)),
		"twice":        iaPD(2, prefix(newPrefix, 300), prefix(newPrefix, 60)),
	} {
		for done := range 6 {
			w, k := holds(t)
			w.slow = true
			up := w.asks(alice, dhcp6.Request)
			w.answers(up, alice, iaPD(2, prefix(newPrefix, 600)))
			if got := w.answers(up, alice, lease); len(got) != 0 {
				t.Fatalf("%s: the second Reply overtook the first", name)
			}
			w.answers(up, alice, iaPD(1, prefix(oldPrefix, 400)), iaPD(2, prefix(newPrefix, 30)))
			w.finish(done)
			w.slow = false
			k.crash()
		}
	}
}

// The store fails between: what a grant that was not kept had brought is taken back,
// its Reply is given up, and what that Reply was to end has ended all the same, for
// the server has taken it.
func TestEndBesideAGrantThatWasNotKeptIsKeptLater(t *testing.T) {
	w, _ := holds(t)
	w.keepFail = errStoreDown
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(newPrefix, 600), prefix(oldPrefix, 0)))
	w.wants()
	w.wantRoutes(oldPrefix)
	w.wantRoutes(newPrefix)
	w.keepFail = nil
	w.sleep(5 * time.Second)
	w.restart()
	w.wants()
}

// What the store has not got is kept again, but not an end whose Reply is still to
// leave.
func TestKeepingAgainWaitsForTheReply(t *testing.T) {
	w, k := holds(t)
	w.keepFail = errStoreDown
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(oldPrefix, 900))) // not kept, to be kept again
	w.keepFail = nil
	w.slow = true
	w.answers(w.asks(alice, dhcp6.Request), alice, iaPD(1, prefix(oldPrefix, 0)), iaPD(2, prefix(newPrefix, 600)))
	w.move(w.now.Boot.After(3 * time.Second))
	w.tick()
	for len(w.flight) > 0 {
		w.finish(1)
	}
	w.slow = false
	w.sleep(5 * time.Second)
	w.wants("lan0 " + newPrefix + " via fe80::a for 9m52s")
	k.crash()
	w.wants("lan0 " + newPrefix + " via fe80::a for 9m52s")
}

// A prefix that ended, and whose end is still to be told, is granted to another:
// then the end is kept with the grant, and does not erase it later.
func TestEndOfWhatAnotherIsGranted(t *testing.T) {
	for name, granted := range map[string]string{
		"the same":  oldPrefix,
		"around it": "2001:db8:100::/48",
		"within it": "2001:db8:100::/60",
	} {
		for _, to := range []client{bob, carol} {
			for done := range 5 {
				w, k := holds(t)
				w.slow = true
				w.answers(w.asks(alice, dhcp6.Request), alice, iaPD(2, prefix(newPrefix, 600)), iaPD(1, prefix(oldPrefix, 0)))
				k.forget(holding{"lan0", alice.duid, "", oldPrefix}) // it is another's now
				w.answers(w.asks(to, dhcp6.Request), to, iaPD(1, prefix(granted, 600)))
				w.finish(done)
				if records, _, _ := w.kept(); slices.ContainsFunc(records, func(r binding.Record) bool { return r.Client.DUID() == to.duid }) == slices.ContainsFunc(records, func(r binding.Record) bool { return r.Prefix == cidr(oldPrefix) && r.Client.DUID() == alice.duid }) {
					t.Errorf("%s, after %d changes: the store must have either the old or the new one: %+v", name, done, records)
				}
				for len(w.flight) > 0 {
					w.finish(1)
				}
				w.slow = false
				if d, ok := w.holder(granted); !ok || d.Client.DUID() != to.duid {
					t.Errorf("%s: it is with %+v, want %s", name, d, to.addr)
				}
				if granted != oldPrefix {
					w.wantRoutes(oldPrefix)
				}
				if to == carol && w.kernel.Allows("lan0", oldPrefix) {
					t.Errorf("%s: alice may still use it", name)
				}
				if found := w.kernel.Compare(w.core.Kernel(), &w.eff); len(found) != 0 {
					t.Errorf("%s: the kernel is not what is wanted: %v", name, found)
				}
				w.eff.Reset()
				k.crash()
				if d, ok := w.holder(granted); !ok || d.Client.DUID() != to.duid {
					t.Errorf("%s, after a restart: it is with %+v, want %s", name, d, to.addr)
				}
			}
		}
	}
}

// An end counts for limits as soon as the Reply is read. A store that a crash left
// above a limit is restored whole.
func TestCrashAboveALimit(t *testing.T) {
	w, k := holds(t, policy(func(p *delegation.Policy) { p.ClientLimit, p.LinkLimit = 1, 1 }))
	w.slow = true
	up := w.asks(alice, dhcp6.Renew)
	w.answers(up, alice, iaPD(1, prefix(oldPrefix, 0), prefix(newPrefix, 600)))
	w.wants("lan0 " + newPrefix + " via fe80::a for 10m0s")
	w.finish(1)
	w.slow = false
	k.crash()
	w.wants("lan0 "+oldPrefix+" via fe80::a for 10m0s", "lan0 "+newPrefix+" via fe80::a for 10m0s")
	w.wantRoutes(oldPrefix, oldPrefix+" via fe80::a dev 10 table 254 metric 1024")
	w.answers(up, alice, iaPD(1, prefix(oldPrefix, 0), prefix(newPrefix, 600)))
	w.wants("lan0 " + newPrefix + " via fe80::a for 10m0s")
}

// No Change is settled twice, and the number of messages that wait is bounded by that of the
// Changes under way.
func TestNothingWaitsForEver(t *testing.T) {
	w, _ := holds(t)
	w.slow = true
	up := w.asks(alice, dhcp6.Renew)
	for range 50 {
		w.answers(up, alice, iaPD(1, prefix(oldPrefix, 60), prefix(newPrefix, 600)))
		w.answers(up, alice, iaPD(1, prefix(oldPrefix, 600), prefix(newPrefix, 0)))
	}
	for len(w.flight) > 0 {
		w.finish(1)
	}
	w.slow = false
	if n := w.core.Totals().Pending; n != 0 {
		t.Errorf("%d changes are pending", n)
	}
	w.wants("lan0 " + oldPrefix + " via fe80::a for 10m0s")
	w.restart()
	w.wants("lan0 " + oldPrefix + " via fe80::a for 10m0s")
	if _, found := w.kernel.Routes[hosttest.Key{Table: hoststate.MainTable, Metric: 1024, Prefix: cidr(newPrefix)}]; found {
		t.Errorf("%s is routed still", newPrefix)
	}
}

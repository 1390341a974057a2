package relay6_test

import (
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// On a point-to-point link nobody has a link-layer address.
var (
	anna = client{lan0Index, alice.duid, alice.addr, linkaddr.Addr{}}
	bert = client{lan0Index, bob.duid, bob.addr, linkaddr.Addr{}}
)

const (
	annas        = "2001:db8:100::/56"
	annasStandIn = "unreachable 2001:db8:100::/56 table 254 metric 1024"
)

// newLine is a world in which lan0 is a point-to-point link, on which anna was
// granted a prefix.
func newLine(t *testing.T, change ...func(*relay6.Config)) *world {
	w := newWorld(t, append([]func(*relay6.Config){rule(func(l *relay6.LinkRule) { l.SharedAuto, l.Delegations.Move = true, delegation.MoveAuto })}, change...)...)
	l := w.links["lan0"]
	l.PointToPoint, l.HardwareType = true, 512
	w.links["lan0"] = l
	w.restart()
	w.lease(anna, iaPD(1, prefix(annas, 600)))
	w.wantProved(true)
	return w
}

// wantProved wants anna's prefix routed to lan0 as it is now, and a good source
// there; or else neither.
func (w *world) wantProved(want bool) {
	w.Helper()
	route := annasStandIn
	if want {
		r := hoststate.Route{Table: hoststate.MainTable, Prefix: cidr(annas), Metric: hoststate.DefaultMetric, Link: w.links["lan0"].Index, Gateway: addr(anna.addr)}
		route = r.String()
	}
	w.wantRoutes(annas, route)
	if got := w.kernel.Allows("lan0", annas); got != want {
		w.Errorf("%s is a good source on lan0: %v, want %v", annas, got, want)
	}
	unproved := 0
	for d := range w.core.Delegations {
		if w.core.Unproved(&d) {
			unproved++
		}
	}
	if got := w.core.Kernel().Counts().Unproved; got != unproved || (got == 0) != want {
		w.Errorf("%d delegations unproved, %d counted, want some: %v", unproved, got, !want)
	}
}

// remake has lan0 vanish and come anew, under another index.
func (w *world) remake(index int) {
	l := w.links["lan0"]
	w.removeLink("lan0")
	l.Index = index
	w.links["lan0"] = l
	w.setLink("lan0", nil)
}

// What anna had on ppp7 is not bert's when he gets that name: neither route nor
// source, until the server says that anna is there.
func TestRFC8987_R3_PointToPointNameUsedAgain(t *testing.T) {
	w := newLine(t)
	w.remake(42)
	w.wantProved(false)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	again := bert
	again.link = 42
	w.lease(again, iaPD(1, prefix("2001:db8:200::/56", 600)))
	w.wantRoutes("2001:db8:200::/56", "2001:db8:200::/56 via fe80::b dev 42 table 254 metric 1024")
	w.wantProved(false)
	back := anna
	back.link = 42
	w.lease(back, iaPD(1, prefix(annas, 600)))
	w.wantProved(true)
}

// The line ends when the link goes down, whether or not its index changes.
func TestRFC8987_S2_PointToPointLinkWasDown(t *testing.T) {
	for name, down := range map[string]func(*links.Link){
		"down":       func(l *links.Link) { l.Up, l.Running = false, false },
		"no carrier": func(l *links.Link) { l.Running = false },
	} {
		w := newLine(t)
		w.setLink("lan0", down)
		w.wantProved(false)
		w.setLink("lan0", func(l *links.Link) { l.Up, l.Running = true, true })
		w.wantProved(false)
		w.order = nil
		w.lease(anna, iaPD(1, prefix(annas, 600)))
		w.wantProved(true)
		// What proves is in the kernel before the Reply leaves.
		if want := []string{"send", "keep", "install", "send"}; !slices.Equal(w.order, want) {
			t.Errorf("%s: %v, want %v", name, w.order, want)
		}
	}
}

// A restart and a reboot know nothing of what was meanwhile.
func TestRFC8987_S1_RestoredOnAPointToPointLink(t *testing.T) {
	for name, again := range map[string]func(*world){
		"restart": (*world).restart,
		"reboot":  func(w *world) { w.reboot(w.now.Wall.Add(time.Second), true) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newLine(t)
			again(w)
			w.wantProved(false)
			w.wants(w.delegations()...)
			w.lease(anna, iaPD(1, prefix(annas, 600)))
			w.wantProved(true)
		})
	}
}

// The operator may say that a name is always the same customer's, or that
// addresses are.
func TestReuseIsTheOperators(t *testing.T) {
	reuse := func(r hoststate.Reuse) func(*relay6.Config) {
		return rule(func(l *relay6.LinkRule) { l.Host.Reuse = r })
	}
	w := newLine(t, reuse(hoststate.ReuseNever))
	w.remake(42)
	w.wantProved(true)
	w.restart()
	w.wantProved(true)

	w = newLine(t, reuse(hoststate.ReuseFixedAddresses))
	w.remake(42)
	w.wantProved(false)
	w.setLink("lan0", func(l *links.Link) { l.Peers = append(l.Peers, addr("fe80::b")) })
	w.wantProved(false)
	w.setLink("lan0", func(l *links.Link) { l.Peers = append(l.Peers[:0:0], addr(anna.addr)) })
	w.wantProved(true)

	// A reload says so, too, and takes it back.
	w = newLine(t)
	w.remake(42)
	for _, r := range []hoststate.Reuse{hoststate.ReuseNever, hoststate.ReusePossible} {
		reuse(r)(w.cfg)
		w.core.Reconfigure(w.cfg, &w.eff)
		w.carryOut()
		w.wantProved(r == hoststate.ReuseNever)
	}
}

// A Reply that was under way to the client of the line before proves nothing.
func TestReplyForTheLineBefore(t *testing.T) {
	w := newLine(t)
	up := w.says(anna, message(dhcp6.Renew, 0xabc, clientID(anna.duid)))
	w.remake(42)
	late := w.answer(up[0].Payload, w.reply(anna, iaPD(1, prefix(annas, 900))))
	if got := w.serves(late); len(got) != 1 {
		t.Fatalf("%d datagrams, want 1", len(got))
	}
	w.wantProved(false)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s")
	here := bert
	here.link = 42
	w.says(here, message(dhcp6.Solicit, 1, clientID(bert.duid)))
	w.serves(late)
	w.wantProved(false)
}

// A line that begins leads to a customer whose link-local address is that of the one
// before. What comes late for that one proves nothing for it.
func TestReplyForTheLineBeforeWithTheSameAddress(t *testing.T) {
	w := newLine(t)
	up := w.says(anna, message(dhcp6.Renew, 0xabc, clientID(anna.duid)))
	w.remake(42)
	here := client{link: 42, duid: bert.duid, addr: anna.addr}
	late := w.answer(up[0].Payload, w.reply(anna, iaPD(1, prefix(annas, 900))))
	for _, says := range [][]byte{
		message(dhcp6.Solicit, 1, clientID(bert.duid)),
		message(dhcp6.InformationRequest, 2),
		message(dhcp6.Renew, 0xabc, clientID(bert.duid)),
	} {
		w.says(here, says)
		w.serves(late)
		w.wantProved(false)
	}
	again := anna
	again.link = 42
	w.says(again, message(dhcp6.Renew, 0xabc, clientID(anna.duid)))
	w.serves(late)
	w.wantProved(true)
}

// Of many clients behind one line the Reply to one that has not spoken for long
// takes nothing away.
func TestManySpeakersOnALine(t *testing.T) {
	w := newLine(t)
	up := w.says(anna, message(dhcp6.Renew, 0xabc, clientID(anna.duid)))
	for _, a := range []string{"fe80::1", "fe80::2", "fe80::3", "fe80::4", "fe80::5"} {
		w.says(client{link: lan0Index, addr: a}, message(dhcp6.Solicit, 1, clientID("\x00\x03"+a)))
	}
	w.serves(w.answer(up[0].Payload, w.reply(anna, iaPD(1, prefix(annas, 900)))))
	w.wantProved(true)
}

// What could not be kept is taken back, and what was there before is as proved as
// it was.
func TestMoveFromALineIsTakenBack(t *testing.T) {
	for _, flap := range []bool{false, true} {
		w := newLine(t, rule(func(l *relay6.LinkRule) { l.Delegations.Move = delegation.MoveFollow })) // follow
		w.slow, w.keepFail = true, errStoreDown
		w.exchange(carol, dhcp6.Request, iaPD(1, prefix(annas, 600)))
		w.wants("lan1 2001:db8:100::/56 via fe80::c for 10m0s")
		if flap {
			w.setLink("lan0", func(l *links.Link) { l.Up, l.Running = false, false })
			w.setLink("lan0", func(l *links.Link) { l.Up, l.Running = true, true })
		}
		w.finish(len(w.flight))
		w.finish(len(w.flight))
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
		w.wantProved(!flap)
	}
}

// A link that is in another VRF takes along what is proved there.
func TestLineMovesIntoAVRF(t *testing.T) {
	w := newLine(t)
	w.setLink("lan0", func(l *links.Link) { l.VRF, l.Table = "red", 100 })
	w.wantRoutes(annas, "2001:db8:100::/56 via fe80::a dev 10 table 100 metric 1024")
	w.setLink("lan0", func(l *links.Link) { l.VRF, l.Table = "", hoststate.MainTable })
	w.wantProved(true)
}

// succeed is the relay after a panic. What was in flight is lost.
func (w *world) succeed(between func()) {
	old := w.core
	w.flight = nil
	w.tick()
	between()
	w.core = relay6.New(w.cfg, w.bootID)
	w.core.Succeed(old)
	for _, l := range w.links {
		w.core.SetLink(l, &w.eff)
	}
	records, blocks, lastWall := w.kept()
	w.core.Restore(w.now, slices.Values(records), blocks, lastWall, &w.eff)
	w.carryOut()
	w.kernel.Compare(w.core.Kernel(), &w.eff)
	w.carryOut()
}

// A panic costs no proof.
func TestSuccessorKnowsLines(t *testing.T) {
	w := newLine(t)
	up := w.says(anna, message(dhcp6.Renew, 0xabc, clientID(anna.duid)))
	w.succeed(func() {})
	w.wantProved(true)
	w.setLink("lan0", func(l *links.Link) { l.Running = false })
	w.succeed(func() {})
	w.wantProved(false)
	w.setLink("lan0", func(l *links.Link) { l.Running = true })
	w.serves(w.answer(up[0].Payload, w.reply(anna, iaPD(1, prefix(annas, 900)))))
	w.wantProved(false)
	w.says(anna, message(dhcp6.Renew, 0xabc, clientID(anna.duid)))
	w.succeed(func() {})
	w.serves(w.answer(up[0].Payload, w.reply(anna, iaPD(1, prefix(annas, 900)))))
	w.wantProved(true)
	w.succeed(func() {
		l := w.links["lan0"]
		l.Index = 77
		w.links["lan0"] = l
		w.kernel.Link(77, true)
	})
	w.wantProved(false)
}

// The customer of a new line, whose link-local address is that of the one before, is
// granted what that one had. The relay panics before it has kept that. The store has
// the customer before, who has not been heard on the line.
func TestSuccessorHasAnotherClientInTheStore(t *testing.T) {
	w := newLine(t)
	w.remake(42)
	w.slow = true
	w.exchange(client{link: 42, duid: bert.duid, addr: anna.addr}, dhcp6.Request, iaPD(1, prefix(annas, 600)))
	if d, ok := w.holder(annas); !ok || d.Client.DUID() != string(bert.duid) || w.core.Unproved(&d) {
		t.Fatalf("%s is held by %+v, want bert, proved", annas, d)
	}
	w.slow = false
	w.succeed(func() {})
	if d, ok := w.holder(annas); !ok || d.Client.DUID() != string(anna.duid) {
		t.Fatalf("%s is held by %+v, want anna, as in the store", annas, d)
	}
	w.wantProved(false)
}

package relay6_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// The prefixes of lan1 in these tests, and delegations on lan0 around them.
const (
	lostOne, aroundOne = "2001:db8:100:ff::/64", "2001:db8:100::/56"
	lostTwo, aroundTwo = "fd00:1::/64", "fd00:1::/56"
)

func anyDelegable(c *relay6.Config) {
	c.Peers[0].Delegable = []trust.Range{{Prefix: cidr("::/0"), Min: 40, Max: 64}}
}

// covering is a world in which alice, on lan0, has prefixes around both of lan1's.
func covering(t *testing.T, change ...func(*relay6.Config)) *world {
	t.Helper()
	w := newWorld(t, append([]func(*relay6.Config){anyDelegable}, change...)...)
	w.onLan1("2001:db8:100:ff::1/64", "fd00:1::1/64")
	w.sleep(2 * time.Hour) // the address before has been missing for long enough
	w.lease(alice, iaPD(1, prefix(aroundOne, 1<<20)), iaPD(2, prefix(aroundTwo, 1<<20)))
	w.tick()
	return w
}

func (w *world) onLan1(addrs ...string) {
	w.on("lan1", append([]string{"fe80::11/64"}, addrs...)...)
}

// wantReserved compares which of the two prefixes are not alice's.
func (w *world) wantReserved(when string, one, two bool) {
	w.Helper()
	for p, reserved := range map[string]bool{lostOne: one, lostTwo: two} {
		var routes []string
		if reserved {
			routes = []string{"unreachable " + p + " table 254 metric 4294967295"}
		}
		w.wantRoutes(p, routes...)
		w.wantPasses("lan0", cidr(p).Addr().Next().String(), !reserved)
	}
	if w.Failed() {
		w.Fatal(when)
	}
}

// begin is what may happen to the process while a link is without its prefixes.
var begin = map[string]func(*world){
	"nothing": func(*world) {},
	"restart": (*world).restart,
	"reboot":  func(w *world) { w.reboot(w.now.Wall.Add(time.Minute), true) },
	"panic":   (*world).panics,
}

// however runs a test for a link whose link-address is chosen and for one where it is
// configured, and for whatever happens to the process.
func however(t *testing.T, test func(w *world, again func())) {
	for name, again := range begin {
		for _, configured := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, link-address configured %v", name, configured), func(t *testing.T) {
				w := covering(t, rule(func(r *relay6.LinkRule) {
					if configured {
						r.LinkAddress = addr("2001:db8:1::1")
					}
				}))
				test(w, func() {
					w.tick() // what is to be kept is kept within two seconds
					again(w)
				})
			})
		}
	}
}

// What a link has that is down, without its addresses, is nobody else's after a restart,
// a reboot and a panic: until the addresses have been missing for long on a link that is
// up.
func TestCoveredLinkIsDownMeanwhile(t *testing.T) {
	however(t, func(w *world, again func()) {
		w.wantReserved("granted", true, true)
		w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
		again()
		w.wantReserved("down", true, true)
		w.sleep(2 * time.Hour)
		w.wantReserved("down for long", true, true)
		w.onLan1up()
		w.wantReserved("up without its addresses", true, true)
		again()
		w.wantReserved("up without its addresses, again", true, true)
		w.sleep(59 * time.Minute)
		w.wantReserved("not for long enough", true, true)
		w.sleep(2 * time.Minute)
		w.wantReserved("for too long", false, false)
		again()
		w.wantReserved("for too long, again", false, false)
	})
}

func (w *world) onLan1up(addrs ...string) {
	w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = true, cidrs(append([]string{"fe80::11/64"}, addrs...)...) })
}

// The same where the interface is deleted: for an hour.
func TestCoveredLinkIsDeleted(t *testing.T) {
	however(t, func(w *world, again func()) {
		w.removeLink("lan1")
		w.wantReserved("deleted", true, true)
		again()
		w.wantReserved("deleted, again", true, true)
		w.sleep(59 * time.Minute)
		w.wantReserved("not for long enough", true, true)
		w.sleep(2 * time.Minute)
		w.wantReserved("for too long", false, false)
		again()
		w.wantReserved("for too long, again", false, false)
	})
}

// An interface that is made anew has its prefixes again, and no others are kept for it.
func TestCoveredLinkIsMadeAnew(t *testing.T) {
	however(t, func(w *world, again func()) {
		l := w.links["lan1"]
		w.removeLink("lan1")
		again()
		l.Index, l.Addrs = 77, cidrs("fe80::11/64")
		w.links["lan1"] = l
		w.setLink("lan1", nil)
		w.wantReserved("there, without addresses yet", true, true)
		w.sleep(30 * time.Minute)
		again()
		w.wantReserved("for half an hour", true, true)
		w.onLan1("2001:db8:100:ff::1/64", "fd00:1::1/64")
		w.sleep(3 * time.Hour)
		w.wantReserved("with both", true, true)
		w.removeLink("lan1")
		l.Index, l.Addrs = 78, cidrs("fe80::11/64", "2001:db8:7::1/64")
		w.links["lan1"] = l
		w.setLink("lan1", nil)
		w.wantReserved("it has another prefix", false, false)
		again()
		w.wantReserved("it has another prefix, again", false, false)
	})
}

// Addresses come and go one by one. A link that gets one of its own back has not lost
// the others for good; one that gets a new one is renumbered. One that is taken away
// while others stay is reserved for a minute: it may be the first of all that go.
func TestAddressesComeOneByOne(t *testing.T) {
	however(t, func(w *world, again func()) {
		w.onLan1("fd00:1::1/64")
		w.wantReserved("the first one goes", true, true)
		w.onLan1()
		w.setLink("lan1", func(l *links.Link) { l.Up = false })
		w.wantReserved("both are gone", true, true)
		w.sleep(2 * time.Hour)
		again()
		w.onLan1up("2001:db8:100:ff::1/64")
		w.wantReserved("one is back", true, true)
		w.sleep(50 * time.Second)
		w.onLan1("fd00:1::1/64", "2001:db8:100:ff::1/64")
		w.wantReserved("both are back", true, true)
		w.sleep(2 * time.Hour)
		w.wantReserved("to stay", true, true)

		w.onLan1("2001:db8:100:ff::1/64")
		w.wantReserved("one is taken away", true, true)
		w.sleep(61 * time.Second)
		w.wantReserved("a minute ago", true, false)
		w.onLan1("2001:db8:7::1/64")
		w.wantReserved("renumbered", false, false)
		again()
		w.wantReserved("renumbered, again", false, false)
	})
}

// A part of what a link had does not show that it is renumbered: a virtual router's address
// may be there before the link's own.
func TestPartOfLostPrefixIsBackFirst(t *testing.T) {
	w := covering(t)
	w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
	w.onLan1up("2001:db8:100:ff::100/128")
	w.wantReserved("one address is there", true, true)
	w.onLan1("2001:db8:100:ff::100/128", "2001:db8:100:ff::1/64", "fd00:1::1/64")
	w.sleep(2 * time.Hour)
	w.wantReserved("both prefixes are back", true, true)
}

// A link that was renumbered shortly before a restart has its new prefix alone.
func TestRenumberedBeforeRestart(t *testing.T) {
	w := covering(t)
	w.onLan1("fd00:1::1/64", "2001:db8:100:ff::1/64")
	w.onLan1("2001:db8:7::1/64")
	w.onLan1("fd00:1::1/64", "2001:db8:7::1/64")
	w.sleep(2 * time.Minute)
	w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
	w.tick()
	w.restart()
	w.wantReserved("restarted", false, true)
}

// The prefix of an interface that is gone is another link's once that has it, as where
// a point-to-point unit of another number leads to the same customer: the delegation
// around it goes to where the prefix is excluded.
func TestLostPrefixIsOnAnotherLink(t *testing.T) {
	const p = "2001:db8:100::/56"
	for _, gone := range []bool{false, true} {
		w := newWorld(t)
		w.onLan1("2001:db8:100:ff::1/64")
		bob := bob
		bob.link = lan1Index
		w.lease(bob, iaPD(1, prefix(p, 7200, exclude(p, lostOne))))
		if gone {
			w.removeLink("lan1")
		} else {
			w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
		}
		w.exchange(alice, dhcp6.Request, iaPD(1, prefix(lostOne, 7200)))
		if got := w.noted(effect.NoteDelegation); !slices.Equal(got, []string{"not-delegable"}) {
			t.Errorf("gone %v: what was the link's: refusals %q, want not-delegable", gone, got)
		}
		w.on("lan0", "fe80::10/64", "2001:db8:100:ff::2/64")
		moved := client{lan0Index, bob.duid, bob.addr, bob.mac}
		w.lease(moved, iaPD(1, prefix(p, 7200, exclude(p, lostOne))))
		w.wants("lan0 " + p + " via fe80::b for 2h0m0s")
		w.wantRoutes(lostOne, "unreachable "+lostOne+" table 254 metric 4294967295")
		w.on("lan0", "fe80::10/64", "2001:db8:8::1/64")
		w.lease(moved, iaPD(1, prefix(p, 7200)))
		w.wantRoutes(lostOne)
	}
}

// Another link that has only a part of what a link has lost, as one that is numbered by a
// single address of it, does not end that.
func TestPartOfLostPrefixIsOnAnotherLink(t *testing.T) {
	w := covering(t)
	w.setLink("spare", func(l *links.Link) {
		*l = links.Link{Index: 78, Name: "lan2", Up: true, HardwareType: 1, Table: hoststate.MainTable, Addrs: cidrs("fe80::12/64", "2001:db8:100:ff::1/128")}
	})
	w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
	w.wantReserved("down", true, true)
	w.setLink("spare", func(l *links.Link) {
		l.Addrs = cidrs("fe80::12/64", "2001:db8:100:ff::1/128", "2001:db8:100:ff::1:1/112")
	})
	w.wantReserved("the other gets more of it", true, true)
}

// What is reserved for an interface that is gone, or what somebody has just taken from a
// link, stands in the way of no delegation around it: its traffic does not go there.
func TestLostPrefixIsNoObstacle(t *testing.T) {
	for name, loses := range map[string]func(*world){
		"deleted":    func(w *world) { w.removeLink("lan1") },
		"taken away": func(w *world) { w.onLan1("2001:db8:7::1/64") },
	} {
		w := newWorld(t)
		w.onLan1("2001:db8:100:ff::1/64", "2001:db8:7::1/64")
		loses(w)
		w.lease(alice, iaPD(1, prefix(aroundOne, 7200)))
		w.wants("lan0 " + aroundOne + " via fe80::a for 2h0m0s")
		w.wantRoutes(lostOne, "unreachable "+lostOne+" table 254 metric 4294967295")
		w.wantPasses("lan0", "2001:db8:100:ff::9", false)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	// A link that is only down gets its prefixes back, and what is around them needs what
	// it needs while the link is up.
	w := newWorld(t)
	w.onLan1("2001:db8:100:ff::1/64", "2001:db8:7::1/64")
	w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix(aroundOne, 7200)))
	if got := w.noted(effect.NoteDelegation); !slices.Equal(got, []string{"not-delegable"}) {
		t.Errorf("down: refusals %q, want not-delegable", got)
	}
}

// A link that has some of its prefixes again, or still has them after a restart, has had
// the others taken away: a minute tells, and they are no obstacle.
func TestLinkHasSomeOfItsPrefixes(t *testing.T) {
	for name, begins := range map[string]func(*world){
		"it was down": func(w *world) {
			w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
			w.sleep(2 * time.Hour)
			w.onLan1up()
			w.onLan1("2001:db8:100:ff::1/64")
		},
		"it was up without any for a while": func(w *world) {
			w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
			w.onLan1up()
			w.sleep(10 * time.Minute) // by now all of them are waited for, for an hour
			w.onLan1("2001:db8:100:ff::1/64")
		},
		"restart": func(w *world) {
			w.tick()
			w.links["lan1"] = func(l links.Link) links.Link {
				l.Addrs = cidrs("fe80::11/64", "2001:db8:100:ff::1/64")
				return l
			}(w.links["lan1"])
			w.restart()
		},
	} {
		w := covering(t)
		begins(w)
		w.wantReserved(name, true, true)
		w.sleep(61 * time.Second)
		w.wantReserved(name+", a minute later", true, false)

		w = newWorld(t) // nothing bounds what may be delegated
		w.onLan1("2001:db8:100:ff::1/64", "fd00:1::1/64")
		begins(w)
		w.lease(alice, iaPD(1, prefix(aroundTwo, 7200)))
		w.wants("lan0 " + aroundTwo + " via fe80::a for 2h0m0s")
		w.wantRoutes(lostTwo, "unreachable "+lostTwo+" table 254 metric 4294967295")
	}
}

// While a link is down it is not clear whether its prefixes come back: the hour begins
// anew each time that it comes up without them.
func TestTimeOfLostPrefixesBeginsAnew(t *testing.T) {
	w := covering(t)
	for range 3 {
		w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
		w.sleep(30 * time.Minute)
		w.onLan1up()
		w.sleep(50 * time.Minute)
		w.wantReserved("up for less than an hour", true, true)
	}
	w.sleep(11 * time.Minute)
	w.wantReserved("up for an hour", false, false)
}

// A panic does not lengthen the time for which lost prefixes stay reserved.
func TestTimeOfLostPrefixesOutlivesAPanic(t *testing.T) {
	for name, loses := range map[string]func(*world){
		"deleted": func(w *world) { w.removeLink("lan1") },
		"up":      func(w *world) { w.onLan1() },
	} {
		w := covering(t)
		loses(w)
		w.sleep(40 * time.Minute)
		w.panics()
		w.wantReserved(name+", panic", true, true)
		w.sleep(19 * time.Minute)
		w.wantReserved(name+", not yet an hour", true, true)
		w.sleep(2 * time.Minute)
		w.wantReserved(name+", an hour", false, false)
	}
}

// A link that is renamed takes along what it has lost; so does one that gets the name of
// an interface that is gone.
func TestLostPrefixesAreRenamed(t *testing.T) {
	w := covering(t)
	w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
	w.renames("lan1", "lan2")
	w.wantReserved("renamed", true, true)
	w.tick()
	w.restart()
	w.wantReserved("restarted", true, true)
	if _, ok := w.store[string(relay6.LinkKey("lan1"))]; ok {
		t.Error("something is kept for the former name")
	}
	w.removeLink("lan2")
	w.setLink("spare", func(l *links.Link) {
		*l = links.Link{Index: 78, Name: "spare", Up: true, HardwareType: 1, Table: hoststate.MainTable}
	})
	w.renames("spare", "lan2")
	w.wantReserved("another has the name", true, true)
	w.setLink("lan2", func(l *links.Link) { l.Addrs = cidrs("2001:db8:7::1/64") })
	w.wantReserved("renumbered", false, false)
}

// A link that is no longer served has nothing reserved that it has lost.
func TestLostPrefixesGoWithTheRule(t *testing.T) {
	for _, gone := range []bool{false, true} {
		w := covering(t)
		if gone {
			w.removeLink("lan1")
		} else {
			w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
		}
		cfg := *w.cfg
		cfg.Links = slices.Clone(cfg.Links)
		cfg.Links[0].Match = []string{"lan0"}
		w.cfg = &cfg
		w.core.Reconfigure(w.cfg, &w.eff)
		w.carryOut()
		w.wantReserved("not served", false, false)
		w.tick()
		w.restart()
		w.wantReserved("not served, after a restart", false, false)
	}
}

// Names of interfaces that come and never come back are forgotten, the oldest first.
func TestLostPrefixesAreBounded(t *testing.T) {
	w := covering(t)
	w.removeLink("lan1")
	w.tick()
	for i := range 4096 {
		if i == 4095 {
			w.wantReserved("before the bound", true, true)
		}
		l := w.links["lan0"]
		l.Name, l.Index = fmt.Sprintf("lanx%d", i), 100+i
		l.Addrs = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb9, byte(i >> 8), byte(i), 15: 1}), 64)}
		w.core.SetLink(l, &w.eff)
		w.core.RemoveLink(l.Name, &w.eff)
		w.carryOut()
	}
	w.wantReserved("beyond the bound", false, false)
}

// The link-address that was used last is used after a restart as well, for as long as
// before.
func TestLastLinkAddressIsKept(t *testing.T) {
	for _, last := range []string{"2001:db8:9::1", "2001:db8:1::9"} { // of another prefix, and of the same
		w := newWorld(t)
		w.tick()
		w.on("lan0", "fe80::10/64", last+"/64")
		w.tick()
		w.setLink("lan0", func(l *links.Link) { l.Addrs = cidrs("fe80::10/64") })
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 1<<20)))
		w.restart()
		w.wantLinkAddress(alice, "after a restart", last)
		if got := w.noted(effect.NoteLinkAddress); len(got) != 0 {
			t.Errorf("told of changes that were none: %q", got)
		}
	}
}

// What is kept of a link is read as it was written, what an earlier version has kept is
// understood, and no part of a record is taken for one.
func TestLinkRecord(t *testing.T) {
	for _, want := range []relay6.LinkRecord{
		{Address: cidr("2001:db8:1::1/64"), Prefixes: cidrs("2001:db8:1::/64")},
		{Address: cidr("2001:db8:1::1/64"), Instead: cidr("2001:db8:2::1/64"), VRF: "blue", Prefixes: cidrs("2001:db8:1::/64", "fd00::/64")},
		{Prefixes: cidrs("2001:db8:1::/64")},
		{Address: cidr("fd00::1/128")},
	} {
		value := want.Append(nil)
		link, got, err := relay6.ParseLinkRecord(relay6.LinkKey("lan0"), value)
		if err != nil || link != "lan0" || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %q, %+v, %v", want, link, got, err)
		}
		for n := range len(value) {
			if _, _, err := relay6.ParseLinkRecord(relay6.LinkKey("lan0"), value[:n]); err == nil {
				t.Errorf("%+v: the first %d octets are a record", want, n)
			}
		}
	}
	a := addr("2001:db8:1::1").As16()
	_, got, err := relay6.ParseLinkRecord(relay6.LinkKey("lan0"), append(a[:], 64))
	if want := (relay6.LinkRecord{Address: cidr("2001:db8:1::1/64"), Prefixes: cidrs("2001:db8:1::/64")}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("record of an earlier version: %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range [][]byte{nil, append(a[:], 129), append(a[:], 64, 0)} {
		if _, got, err := relay6.ParseLinkRecord(relay6.LinkKey("lan0"), bad); err == nil {
			t.Errorf("%x is a record: %+v", bad, got)
		}
	}
	many := relay6.LinkRecord{Prefixes: make([]netip.Prefix, 2000)}
	for i := range many.Prefixes {
		many.Prefixes[i] = cidr(fmt.Sprintf("2001:db8:1::%x/128", i))
	}
	if _, got, err := relay6.ParseLinkRecord(relay6.LinkKey("lan0"), many.Append(nil)); err != nil || len(got.Prefixes) != 1024 {
		t.Errorf("of 2000 prefixes %d are kept, error %v; want 1024", len(got.Prefixes), err)
	}
}

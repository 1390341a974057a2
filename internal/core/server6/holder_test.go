package server6_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// thieves are hosts on alice's link that have copied her DUID.
var thieves = map[string]client{
	"another host":                   {alice.link, alice.duid, bob.addr, bob.mac},
	"with her address":               {alice.link, alice.duid, alice.addr, bob.mac},
	"without its link-layer address": {alice.link, alice.duid, bob.addr, linkaddr.Addr{}},
}

// elsewhere is alice, sending from another of her addresses.
var elsewhere = client{alice.link, alice.duid, "fe80::a2", alice.mac}

func move(p delegation.MovePolicy) func(*server6.Config) {
	return limits(func(l *delegation.Policy) { l.Move = p })
}

// holders are the holders of the leases: next hop, link-layer address, and for how many seconds the lease lives.
func (w *world) holders() (all []string) {
	for b := range w.core.Leases {
		all = append(all, fmt.Sprintf("%s %s %d", b.NextHop, b.LinkLayer, w.now.Until(b.Valid)/time.Second))
	}
	return all
}

// theHolder fails the test unless all leases belong to a client, and live that long.
func (w *world) theHolder(c client, seconds int) {
	w.Helper()
	want := fmt.Sprintf("%s %s %d", c.addr, c.mac, seconds)
	if got := w.holders(); len(got) == 0 || slices.ContainsFunc(got, func(s string) bool { return s != want }) {
		w.Errorf("the holders are %q, want %q", got, want)
	}
	w.agrees()
}

// grabs are messages by which a client is granted leases.
var grabs = map[string]struct {
	kind    dhcp6.MessageType
	options []option
}{
	"Request":      {dhcp6.Request, nil},
	"Renew":        {dhcp6.Renew, nil},
	"Rebind":       {dhcp6.Rebind, nil},
	"rapid commit": {dhcp6.Solicit, []option{rapid}},
}

// A host with a copied DUID gets nothing while the holder answers probes, and gets the lease when the holder
// does not answer. Until the probe has a result, nothing is sent, kept or changed.
func TestCopiedDUID(t *testing.T) {
	for who, thief := range thieves {
		for by, m := range grabs {
			for _, answers := range []bool{true, false} {
				name := fmt.Sprintf("%s, %s, answers %v", who, by, answers)
				w := newWorld(t, subnet(rapidCommit))
				got := w.obtains(alice, iaNA(1), iaPD(2))
				w.sleep(time.Minute)
				order := len(w.order)
				ask := thief.from(thief.message(m.kind, append(got.taken(), m.options...)...))
				if sent := w.packet(ask); len(sent) != 0 || len(w.order) != order || len(w.drops) != 0 {
					t.Fatalf("%s: %d datagrams, %q and drops %v before the holder is asked", name, len(sent), w.order[order:], w.drops)
				}
				w.theHolder(alice, 4000-60)
				sent := w.probed(alice, answers)
				if len(sent) != 1 {
					t.Fatalf("%s: %d datagrams after the holder was asked, want the Reply (drops %v)", name, len(sent), w.drops)
				}
				reply := w.read(sent[0].Payload)
				switch {
				case !answers:
					w.theHolder(thief, 4000)
				case thief.addr == alice.addr: // her address: whoever asked, the lease is hers
					w.theHolder(alice, 4000)
				default:
					w.theHolder(alice, 4000-60)
					if want := "NA 1: status 2; PD 2: status 6"; reply.leases() != want {
						t.Errorf("%s: the thief is told %q, want %q", name, reply.leases(), want)
					}
					if n := w.core.Totals().Refusals["still-answers"]; n != 2 {
						t.Errorf("%s: %d refusals because the holder answers, want 2", name, n)
					}
				}
				if (len(reply.ias) != 2 || len(reply.ias[0].leases) == 0) == (!answers || thief.addr == alice.addr) {
					t.Errorf("%s: the Reply is %q", name, reply.leases())
				}
			}
		}
	}
}

// A Solicit that is answered by an Advertise takes nothing from anybody.
func TestNobodyIsAskedForAnAdvertise(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1))
	if offer := w.asks(thieves["another host"], dhcp6.Solicit, iaNA(1)); offer.only() != got.only() {
		t.Errorf("offered %v", offer.only())
	}
	w.theHolder(alice, 4000)
}

// The holder does not lose a prefix when another host with its DUID asks for another length, which would
// replace the prefix. The other host gets none, since its IA is the holder's.
func TestCopiedDUIDReplacesNothing(t *testing.T) {
	for _, answers := range []bool{true, false} {
		w := newWorld(t, subnet(pdPool(server6.PrefixPool{Prefix: cidr("2001:db8:4000::/40"), Length: 56, Min: 52, Max: 60})))
		w.obtains(alice, iaPD(1))
		before := w.holds()
		thief := thieves["another host"]
		if sent := w.says(thief, thief.message(dhcp6.Request, iaPD(1, named("::/60")))); len(sent) != 0 {
			t.Fatalf("answers %v: %d datagrams before the holder is asked", answers, len(sent))
		}
		sent := w.probed(alice, answers)
		if len(sent) != 1 {
			t.Fatalf("answers %v: %d datagrams", answers, len(sent))
		}
		told := w.read(sent[0].Payload).leases()
		if answers && (told != "PD 1: status 6" || !slices.Equal(w.holds(), before)) {
			t.Errorf("the holder answers: the thief is told %q, leases %q, before %q", told, w.holds(), before)
		}
		if !answers && (len(w.holds()) != 1 || slices.Equal(w.holds(), before)) {
			t.Errorf("the holder is silent: the thief is told %q, leases %q, before %q", told, w.holds(), before)
		}
		w.agrees()
	}
}

// While a holder is probed, repeated messages are dropped and cause no probe. A result that comes too late
// decides nothing.
func TestHolderIsAskedOnce(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaPD(1))
	thief := thieves["another host"]
	renew := thief.from(thief.message(dhcp6.Renew, got.taken()...))
	w.packet(renew)
	for range 4 {
		w.ignored("a Renew again", renew, effect.DropProbing)
	}
	if len(w.probes) != 1 {
		t.Errorf("%d probes, want 1", len(w.probes))
	}
	w.sleep(5 * time.Second)
	if sent := w.probed(alice, false); len(sent) != 0 {
		t.Errorf("after 5 s %d datagrams", len(sent))
	}
	w.theHolder(alice, 4000-5)
	// The thief asks again, and nobody answers in time.
	w.packet(renew)
	if sent := w.probed(alice, false); len(sent) != 1 {
		t.Errorf("when it has asked again %d datagrams", len(sent))
	}
	w.theHolder(thief, 4000)
}

// A holder that cannot be probed counts as present.
func TestHolderThatCannotBeAsked(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaPD(1))
	thief := thieves["another host"]
	w.says(thief, thief.message(dhcp6.Renew, got.taken()...))
	q := w.probes[0].Question
	w.probes = nil
	w.core.Unprobed(w.now, q, &w.eff)
	w.carryOut()
	w.theHolder(alice, 4000)
	if n := w.core.Totals().Refusals["still-answers"]; n != 1 {
		t.Errorf("%d refusals, want 1", n)
	}
}

// Each holder of a lease in a message is probed.
func TestTwoHoldersAreAsked(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1))
	other := client{alice.link, alice.duid, "fe80::d", mac("02:00:5e:00:53:0d")}
	more := w.obtains(other, iaPD(2))
	thief := thieves["another host"]
	w.says(thief, thief.message(dhcp6.Request, append(got.taken(), more.taken()...)...))
	if sent := w.probed(alice, true); len(sent) != 0 {
		t.Fatalf("%d datagrams before the other holder is asked", len(sent))
	}
	sent := w.probed(other, false)
	if len(sent) != 1 {
		t.Fatalf("%d datagrams", len(sent))
	}
	if told, want := w.read(sent[0].Payload).leases(), fmt.Sprintf("NA 1: status 2; PD 2: %s 3000/4000", more.only()); told != want {
		t.Errorf("told %q, want %q", told, want)
	}
	want := []string{fmt.Sprintf("%s %s 4000", alice.addr, alice.mac), fmt.Sprintf("%s %s 4000", thief.addr, thief.mac)}
	if got := slices.Sorted(slices.Values(w.holders())); !slices.Equal(got, want) {
		t.Errorf("holders %q, want %q", got, want)
	}
}

// A client that asks from another of its addresses gets its answer at once, and the lease goes to that
// address once it answers.
func TestHolderAsksFromAnotherAddress(t *testing.T) {
	for _, policy := range []delegation.MovePolicy{delegation.MoveAuto, delegation.MoveDeny} {
		for _, answers := range []bool{true, false} {
			w := newWorld(t, move(policy))
			got := w.obtains(alice, iaNA(1), iaPD(2))
			w.sleep(time.Minute)
			for range 3 {
				if renewed := w.asks(elsewhere, dhcp6.Renew, got.taken()...); renewed.leases() != got.leases() {
					t.Errorf("%v: renewed %q, want %q", policy, renewed.leases(), got.leases())
				}
			}
			w.theHolder(alice, 4000)
			if len(w.probes) != 1 {
				t.Errorf("%v: %d probes for two leases, want 1", policy, len(w.probes))
			}
			w.probed(elsewhere, answers)
			is := alice
			if answers {
				is = elsewhere
			}
			w.theHolder(is, 4000)
			w.restart()
			w.theHolder(is, 4000)
		}
	}
}

// If a rule says so, nobody is probed: the lease goes to the host that asks for it, or stays where it is.
func TestNobodyIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		policy  delegation.MovePolicy
		ppp     bool
		follows bool
	}{
		"follow":                        {delegation.MoveFollow, false, true},
		"deny":                          {delegation.MoveDeny, false, false},
		"auto on a point-to-point link": {delegation.MoveAuto, true, true},
		"deny on a point-to-point link": {delegation.MoveDeny, true, false},
		"the holder at its address":     {delegation.MoveAuto, false, false},
	} {
		w := newWorld(t, move(c.policy))
		w.setLink("lan0", func(l *links.Link) { l.PointToPoint = c.ppp })
		holder, other := alice, thieves["another host"]
		if c.ppp {
			holder.mac, other.mac = linkaddr.Addr{}, linkaddr.Addr{}
		}
		if c.policy == delegation.MoveAuto && !c.ppp {
			other = holder
		}
		got := w.obtains(holder, iaPD(1))
		w.asks(other, dhcp6.Renew, got.taken()...)
		if c.follows {
			w.theHolder(other, 4000)
		} else {
			w.theHolder(holder, 4000)
		}
		if refused := w.core.Totals().Refusals["move-denied"] > 0; refused != (c.policy == delegation.MoveDeny) {
			t.Errorf("%s: refused %v", name, refused)
		}
	}
}

// Behind relay agents the server probes nobody, since it is not on that link.
func TestNobodyIsAskedBehindRelays(t *testing.T) {
	w := newWorld(t)
	got := w.obtainsBy(through("2001:db8:8::1", linkLayer(alice.mac)), alice, iaPD(1))
	thief := thieves["another host"]
	if again := w.asksBy(through("2001:db8:8::1", linkLayer(thief.mac)), thief, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
	w.theHolder(thief, 4000)
}

// The link has got another name while the holder was probed.
func TestLinkIsRenamedWhileTheHolderIsAsked(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaPD(1))
	thief := thieves["another host"]
	w.says(thief, thief.message(dhcp6.Renew, got.taken()...))
	q := w.probes[0].Question
	w.probes = nil
	w.setLink("lan0", func(l *links.Link) { l.Name = "lan9" })
	before := len(w.sent)
	w.core.Probed(w.now, q, true, &w.eff)
	w.carryOut()
	if n := len(w.sent) - before; n != 1 || len(w.probes) != 0 {
		t.Errorf("%d datagrams and probes %+v, want the Reply", n, w.probes)
	}
	w.theHolder(alice, 4000)
}

// The link of the message is gone when its answer comes.
func TestLinkIsGoneWhileTheHolderIsAsked(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaPD(1))
	thief := thieves["another host"]
	w.says(thief, thief.message(dhcp6.Renew, got.taken()...))
	w.removeLink("lan0")
	q := w.probes[0].Question
	w.probes, w.drops = nil, nil
	w.core.Probed(w.now, q, false, &w.eff)
	w.carryOut()
	if len(w.drops) != 1 || w.drops[0].Reason != effect.DropUnknownLink {
		t.Errorf("drops %v", w.drops)
	}
	w.theHolder(alice, 4000)
}

// An operator sees in the trace why an answer is late, and which lease it is about.
func TestTraceOfAMessageThatWaits(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaPD(1))
	w.core.SetTrace(&effect.Trace{})
	thief := thieves["another host"]
	w.says(thief, thief.message(dhcp6.Renew, got.taken()...))
	w.probed(alice, true)
	var steps []string
	for _, n := range w.notes {
		if n.Kind == effect.NoteTrace && n.Text != "carries" {
			steps = append(steps, n.Text)
		}
	}
	if want := []string{"received", "waits: the holder of a lease is asked", "answered: Reply"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	if n := w.core.Totals().Events["moved"]; n != 0 {
		t.Errorf("%d moves", n)
	}
	if !slices.ContainsFunc(w.notes, func(n effect.Note) bool {
		return n.Kind == effect.NoteDelegation && n.Event.Kind == binding.Refused && n.Event.Reason == binding.StillAnswers
	}) {
		t.Errorf("no note says why the lease was refused: %+v", w.notes)
	}
}

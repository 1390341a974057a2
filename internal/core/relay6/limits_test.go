package relay6_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// What counts against a limit is a new IA_PD; renewing and asking again do not.
func TestLimitLetsWhatIsHeldPass(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 2 }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(2, prefix("2001:db8:200::/56", 600)))
	for _, mt := range []dhcp6.MessageType{dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
		if got := w.says(alice, message(mt, 1, clientID(alice.duid), iaPD(1), iaPD(2))); len(got) != 1 {
			t.Errorf("%v for what it holds: %d datagrams, want 1", mt, len(got))
		}
	}
	if got := w.says(alice, message(dhcp6.Request, 1, clientID(alice.duid), iaPD(3))); len(got) != 0 {
		t.Errorf("Request for a third: %d datagrams, want none", len(got))
	}
	if got := w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid), iaPD(3))); len(got) != 1 {
		t.Error("a Solicit was stopped by a limit")
	}
	if got := w.noted(effect.NoteLimit); len(got) != 1 {
		t.Errorf("notes %q, want one", got)
	}
}

// A mixed Reply is forwarded: what is known renewed, the excess not installed.
func TestMixedReplyIsForwardedWithoutItsExcess(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 2 }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 900), prefix("2001:db8:200::/56", 900), prefix("2001:db8:300::/56", 900)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s", "lan0 2001:db8:200::/56 via fe80::a for 15m0s")
	w.wantRoutes("2001:db8:300::/56")
	if got := w.noted(effect.NoteDelegation); !slices.Equal(got, []string{"limit-client"}) {
		t.Errorf("refusals %q, want limit-client", got)
	}
	if got := w.counts("lan0").Refused; got != 1 {
		t.Errorf("%d grants refused on lan0, want 1", got)
	}
}

// An address beside the excess is no excess: the client must get it.
func TestExcessBesideAnAddressIsForwarded(t *testing.T) {
	for _, a := range []string{"2001:db8:1::77", "2001:db8:77::77"} { // on the link, and not
		w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 1 }))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		if got := w.exchange(alice, dhcp6.Rebind, iaPD(2, prefix("2001:db8:200::/56", 600)), iaNA(1, address(a, 600))); len(got) != 1 {
			t.Errorf("with %s: %d datagrams, want 1", a, len(got))
		}
		w.wantRoutes("2001:db8:200::/56")
	}
}

// One host on a shared link cannot use up the link's share.
func TestLimitPerHostOnASharedLink(t *testing.T) {
	shared := rule(func(r *relay6.LinkRule) {
		r.Shared = true
		r.Delegations.ClientLimit, r.Delegations.HostLimit = 2, delegation.HostLimitAuto
	})
	w := newWorld(t, shared)
	for n := range 4 { // twice the client's limit, under as many names as it likes
		c := client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01id%04d", n), fmt.Sprintf("fe80::%x", 0x100+n), alice.mac}
		w.lease(c, iaPD(1, prefix(fmt.Sprintf("2001:db8:%x00::/56", n+1), 600)))
	}
	fifth := client{lan0Index, "\x00\x03\x00\x01id9999", "fe80::999", alice.mac}
	if got := w.says(fifth, message(dhcp6.Request, 1, clientID(fifth.duid), iaPD(1))); len(got) != 0 {
		t.Error("a fifth client of one host was let through")
	}
	if got := w.exchange(fifth, dhcp6.Rebind, iaPD(1, prefix("2001:db8:9900::/56", 600))); len(got) != 0 {
		t.Error("a fifth prefix of one host was delivered")
	}
	if got := w.noted(effect.NoteDelegation); !slices.Equal(got, []string{"limit-host"}) {
		t.Errorf("refusals %q, want limit-host", got)
	}
	w.lease(bob, iaPD(1, prefix("2001:db8:aa00::/56", 600))) // a neighbour has its share
}

// A prefix that changes hands on a full link needs no room.
func TestTakeoverOnAFullLink(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.LinkLimit = 1 }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.exchange(bob, dhcp6.Rebind, iaPD(1, prefix("2001:db8:100::/56", 900)))
	w.wants("lan0 2001:db8:100::/56 via fe80::b for 15m0s")
}

// probed brings the result of the only probe that is out.
func (w *world) probed(answers bool) []effect.Send {
	w.Helper()
	if len(w.probes) != 1 {
		w.Fatalf("%d probes, want 1: %+v", len(w.probes), w.probes)
	}
	asked := w.probes[0].Question
	w.probes = nil
	before := len(w.sent)
	w.core.Probed(w.now, asked, answers, &w.eff)
	w.carryOut()
	return w.sent[before:]
}

// on-limit: replace-unreachable, for ports of one customer whose router was
// swapped.
func TestReplaceUnreachable(t *testing.T) {
	grant := func(answers bool) (*world, []effect.Send) {
		w := newWorld(t, policy(func(p *delegation.Policy) { p.LinkLimit, p.OnLimit = 2, delegation.LimitReplaceUnreachable }))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 900)))
		if got := w.exchange(bob, dhcp6.Request, iaPD(1, prefix("2001:db8:200::/56", 600))); len(got) != 0 {
			t.Fatalf("delivered before the old router was asked: %+v", got)
		}
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:101::/56 via fe80::a for 15m0s")
		return w, w.probed(answers)
	}
	w, got := grant(false)
	if len(got) != 1 || got[0].Dest.Addr() != addr(bob.addr) {
		t.Errorf("the old router is silent: %+v, want the Reply", got)
	}
	w.wants("lan0 2001:db8:200::/56 via fe80::b for 10m0s")
	w.wantRoutes("2001:db8:100::/56")
	w.restart()
	w.wants("lan0 2001:db8:200::/56 via fe80::b for 10m0s")

	w, got = grant(true)
	if len(got) != 0 || w.dropped(effect.DropLimit) != 1 {
		t.Errorf("the old router answers: %+v, drops %v", got, w.drops)
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:101::/56 via fe80::a for 15m0s")
}

// A port whose limit was met twice by what was given and not installed, and whose old
// router is switched off: the new one's Request is not forwarded until that is found
// out, and then it is.
func TestReplaceUnreachableAtTwiceTheLimit(t *testing.T) {
	for _, answers := range []bool{false, true} {
		w := newWorld(t, policy(func(p *delegation.Policy) {
			p.ClientLimit, p.LinkLimit, p.OnLimit = 2, 2, delegation.LimitReplaceUnreachable
		}))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 900)))
		w.exchange(carol2, dhcp6.Request, iaPD(1, prefix("2001:db8:300::/56", 600), prefix("2001:db8:301::/56", 600)))
		w.probed(true)
		request := message(dhcp6.Request, 0xabc, clientID(bob.duid), iaPD(1))
		for range 3 { // asked once
			if got := w.says(bob, request); len(got) != 0 {
				t.Fatalf("forwarded before the old router was asked: %+v", got)
			}
		}
		w.probed(answers)
		up := w.says(bob, request)
		if len(up) == 0 != answers {
			t.Fatalf("the old router answers %v: %d datagrams forwarded", answers, len(up))
		}
		if answers {
			continue
		}
		w.serves(w.answer(up[0].Payload, w.reply(bob, iaPD(1, prefix("2001:db8:200::/56", 600)))))
		w.probed(false)
		w.wants("lan0 2001:db8:200::/56 via fe80::b for 10m0s")
	}
}

// carol2 is a third client of alice's link.
var carol2 = client{lan0Index, carol.duid, "fe80::cc", carol.mac}

// A Request is stopped only if nothing that it asks can be had, or if it asks for far
// too much. RFC 8987 G-5, G-6.
func TestRequestsThatGoOn(t *testing.T) {
	many := func(n int) (ias []option) {
		for i := range n {
			ias = append(ias, iaPD(uint32(10+i)))
		}
		return ias
	}
	hints := func(n int) option {
		var all []option
		for i := range n {
			all = append(all, prefix(fmt.Sprintf("2001:db8:3%02x::/56", i), 0))
		}
		return iaPD(9, all...)
	}
	for name, tc := range map[string]struct {
		limit  int
		holds  []option
		asks   []option
		passes bool
	}{
		"an address and two prefixes at 1": {1, nil, []option{iaNA(1), iaPD(1), iaPD(2)}, true},
		"two prefixes at 1":                {1, nil, []option{iaPD(1), iaPD(2)}, true},
		"nine at the default":              {8, nil, many(9), true},
		"twice the limit":                  {8, nil, many(16), true},
		"more than twice":                  {8, nil, many(17), false},
		"more than twice in one IA_PD":     {8, nil, []option{hints(17)}, false},
		"more than twice and an address":   {8, nil, append(many(17), iaNA(1)), false},
		"one more":                         {1, []option{iaPD(1, prefix("2001:db8:100::/56", 600))}, []option{iaPD(2)}, false},
		"one more, and an address":         {1, []option{iaPD(1, prefix("2001:db8:100::/56", 600))}, []option{iaPD(2), iaNA(1)}, true},
		"one more, and a temporary":        {1, []option{iaPD(1, prefix("2001:db8:100::/56", 600))}, []option{iaPD(2), raw(dhcp6.OptionIATA, 0, 0, 0, 1)}, true},
		"one more, and its own":            {1, []option{iaPD(1, prefix("2001:db8:100::/56", 600))}, []option{iaPD(2), iaPD(1)}, true},
	} {
		w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = tc.limit }))
		if tc.holds != nil {
			w.lease(alice, tc.holds...)
		}
		got := w.says(alice, message(dhcp6.Request, 1, append([]option{clientID(alice.duid)}, tc.asks...)...))
		if passes := len(got) == 1; passes != tc.passes || !passes && w.dropped(effect.DropLimit) != 1 {
			t.Errorf("%s: goes on %v, want %v; drops %v", name, passes, tc.passes, w.drops)
		}
	}
}

// A host asks for an address and one prefix more, again and again, under as many names
// as it likes, with a server that gives whatever it is asked for. What the server gives
// away is bounded, and the address is still to be had; when what it gave has ended, all
// begins anew.
func TestNobodyDrainsTheServersPool(t *testing.T) {
	for name, change := range map[string]func(*relay6.LinkRule){
		"host": func(r *relay6.LinkRule) { r.Shared, r.Delegations.ClientLimit, r.Delegations.HostLimit = true, 1, 3 },
		"link": func(r *relay6.LinkRule) { r.Delegations.ClientLimit, r.Delegations.LinkLimit = 1, 3 },
		"link, replaceable": func(r *relay6.LinkRule) {
			r.Delegations = delegation.Policy{ClientLimit: 1, LinkLimit: 3, OnLimit: delegation.LimitReplaceUnreachable}
		},
	} {
		for _, address := range []bool{true, false} {
			w := newWorld(t, rule(change))
			given := 0
			ask := func(n int) {
				c := client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01id%04d", n), fmt.Sprintf("fe80::1:%x", n), alice.mac}
				asks, gives := []option{clientID(c.duid), iaPD(1)}, []option{iaPD(1, prefix(fmt.Sprintf("2001:db8:%x::/56", 0x1000+n), 600))}
				if address {
					asks, gives = append(asks, iaNA(1)), append(gives, iaNA(1, addressOnLink(n)))
				}
				up := w.says(c, message(dhcp6.Request, 1, asks...))
				if len(up) == 0 {
					return
				}
				given++
				w.answers(up[0].Payload, c, gives...)
				for len(w.probes) > 0 {
					w.probed(true)
				}
			}
			for n := range 40 {
				ask(n)
			}
			// A Request for prefixes alone ends at the limit, unless the Reply decides; all others at twice.
			most := 6
			if !address && name != "link, replaceable" {
				most = 3
			}
			if given != most {
				t.Errorf("%s, address %v: the server has given %d prefixes, want %d", name, address, given, most)
			}
			if got := len(w.delegations()); got != 3 {
				t.Errorf("%s, address %v: %d are installed, want 3", name, address, got)
			}
			last := client{lan0Index, "\x00\x03\x00\x01last", "fe80::9999", alice.mac}
			if got := w.says(last, message(dhcp6.Request, 1, clientID(last.duid), iaNA(1))); len(got) != 1 {
				t.Errorf("%s, address %v: a Request for an address alone does not go on", name, address)
			}
			w.sleep(10 * time.Minute)
			w.wants()
			given = 0
			ask(100)
			if given != 1 || len(w.delegations()) != 1 {
				t.Errorf("%s, address %v: after their end %d given and %d installed, want one", name, address, given, len(w.delegations()))
			}
		}
	}
}

func addressOnLink(n int) option { return address(fmt.Sprintf("2001:db8:1::%x", 0x100+n), 600) }

// Many ask at once, before the server has answered the first. What it gave beyond the
// limits counts also where the Reply was dropped: after that nobody gets more out of it.
func TestExcessOfABurstCounts(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit, p.LinkLimit = 1, 2 }))
	var asked [][]byte
	who := func(n int) client {
		return client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01id%04d", n), fmt.Sprintf("fe80::1:%x", n), alice.mac}
	}
	for n := range 10 {
		up := w.says(who(n), message(dhcp6.Request, 1, clientID(who(n).duid), iaPD(1)))
		asked = append(asked, up[0].Payload)
	}
	for n, up := range asked {
		w.answers(up, who(n), iaPD(1, prefix(fmt.Sprintf("2001:db8:%x::/56", 0x1000+n), 600)))
	}
	for n := range 2 { // those that were installed are given back
		w.says(who(n), message(dhcp6.Release, 1, clientID(who(n).duid), iaPD(1)))
	}
	w.wants()
	if got := w.says(alice, message(dhcp6.Request, 1, clientID(alice.duid), iaPD(1), iaNA(1))); len(got) != 0 {
		t.Error("after a burst one more goes on")
	}
	// Who was given one already is not stopped: the server will give it the same.
	if got := w.says(who(5), message(dhcp6.Request, 1, clientID(who(5).duid), iaPD(1), iaNA(1))); len(got) != 1 {
		t.Error("who asks again for what it was given is stopped")
	}
	// The operator's word ends that as well.
	w.core.Clear(w.now, delegation.Selection{Link: "lan0"}, &w.eff)
	w.carryOut()
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
}

// A limit that somebody has run into is on view, with link and client, for as long as
// there is no room.
func TestLimitsMet(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit, p.LinkLimit = 1, 2 }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	if got := w.core.LimitsMet(); len(got) != 0 {
		t.Errorf("%+v, although nobody was refused anything", got)
	}
	for range 2 {
		w.says(alice, message(dhcp6.Request, 1, clientID(alice.duid), iaPD(2)))
	}
	w.lease(bob, iaPD(1, prefix("2001:db8:200::/56", 1200)))
	third := client{lan0Index, "\x00\x03\x00\x01third", "fe80::3", mac("02:00:5e:00:53:33")}
	w.exchange(third, dhcp6.Rebind, iaPD(1, prefix("2001:db8:300::/56", 900)))
	got := w.core.LimitsMet()
	if len(got) != 2 || got[0].Reason != binding.LimitClient || got[0].Client.DUID() != alice.duid || got[0].Host != alice.mac || got[0].Times != 2 ||
		got[1].Reason != binding.LimitLink || got[1].Client.DUID() != third.duid || got[1].Link != "lan0" || got[1].Times != 1 {
		t.Errorf("limits met: %+v, want alice's and the link's", got)
	}
	w.sleep(900 * time.Second) // alice's prefix, and what the third was given
	if got := w.core.LimitsMet(); len(got) != 0 {
		t.Errorf("limits met although there is room: %+v", got)
	}
}

// What is remembered of limits is bounded.
func TestLimitsMetAreBounded(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 1 }))
	const clients = 300
	for n := range clients {
		c := client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01id%04d", n), fmt.Sprintf("fe80::1:%x", n), mac(fmt.Sprintf("02:00:5e:00:%02x:%02x", n>>8, n&255))}
		w.lease(c, iaPD(1, prefix(fmt.Sprintf("2001:db8:%x::/56", 0x1000+n), 600)))
		w.says(c, message(dhcp6.Request, 1, clientID(c.duid), iaPD(2)))
		w.sleep(time.Millisecond)
	}
	got := w.core.LimitsMet()
	if len(got) != 256 || slices.ContainsFunc(got, func(l delegation.LimitMet) bool { return strings.HasSuffix(l.Client.DUID(), "id0000") }) {
		t.Errorf("%d limits are on view, want the newest 256", len(got))
	}
}

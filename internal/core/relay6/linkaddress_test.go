package relay6_test

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// linkAddress is what the server is told of a client's link.
func (w *world) linkAddress(c client) netip.Addr {
	w.Helper()
	got := w.says(c, message(dhcp6.Solicit, 1))
	if len(got) != 1 {
		w.Fatalf("%d datagrams forwarded, want 1 (drops %v)", len(got), w.drops)
	}
	return readLayer(w, got[0].Payload).link
}

func (w *world) wantLinkAddress(c client, when, want string) {
	w.Helper()
	if got := w.linkAddress(c); got != addr(want) {
		w.Errorf("%s: link-address %v, want %s", when, got, want)
	}
}

func cidrs(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, cidr(t))
	}
	return all
}

// anew starts the relay as if it had never run, with a link that is changed.
func (w *world) anew(link string, change func(*links.Link)) {
	l := w.links[link]
	change(&l)
	w.links[link], w.store = l, make(map[string][]byte)
	w.restart()
}

// on gives a link other addresses, the newest first as the kernel lists them.
func (w *world) on(link string, addrs ...string) {
	w.setLink(link, func(l *links.Link) { l.Addrs = cidrs(addrs...) })
}

// Which of several addresses is the link-address does not hang on the order in
// which they came, but on what they are.
func TestLinkAddressIsTheBest(t *testing.T) {
	for _, tc := range []struct {
		addrs                 []string
		deprecated, temporary string
		want                  string
	}{
		{addrs: []string{"2001:db8:9::1/64", "2001:db8:1::1/64"}, want: "2001:db8:1::1"},
		{addrs: []string{"2001:db8:9::1/64", "2001:db8:1::1/64"}, deprecated: "2001:db8:1::1", want: "2001:db8:9::1"},
		{addrs: []string{"2001:db8:9::1/64", "2001:db8:1::1/64"}, deprecated: "2001:db8:9::1", want: "2001:db8:1::1"},
		{addrs: []string{"fd00::1/64", "2001:db8:1::1/64"}, deprecated: "2001:db8:1::1", want: "2001:db8:1::1"},
		{addrs: []string{"2001:db8:9::1/128", "2001:db8:1::1/64"}, want: "2001:db8:1::1"},
		{addrs: []string{"2001:db8:1::1/64", "2001:db8:9::1/128"}, want: "2001:db8:1::1"},
		{addrs: []string{"2001:db8:9::1/128", "fd00::1/64"}, want: "fd00::1"},
		{addrs: []string{"2001:db8:9::1/128"}, want: "2001:db8:9::1"},
		{addrs: []string{"2001:db8:1::7/64", "2001:db8:1::1/64"}, temporary: "2001:db8:1::7", want: "2001:db8:1::1"},
		{addrs: []string{"2001:db8:1::7/64"}, temporary: "2001:db8:1::7", want: "fe80::10"},
		{addrs: []string{"fd00::1/64"}, want: "fd00::1"},
		{want: "fe80::10"},
	} {
		w := newWorld(t)
		w.anew("lan0", func(l *links.Link) {
			l.Addrs = append(cidrs(tc.addrs...), cidr("fe80::10/64"))
			if tc.deprecated != "" {
				l.Deprecated = []netip.Addr{addr(tc.deprecated)}
			}
			if tc.temporary != "" {
				l.Temporary = []netip.Addr{addr(tc.temporary)}
			}
		})
		w.wantLinkAddress(alice, fmt.Sprint(tc), tc.want)
	}
}

// Of equals the one that was used before stays, whatever is added, over a restart
// and over a reboot that brings the addresses in another order.
func TestLinkAddressStaysOfEquals(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 7200)))
	for _, addrs := range [][]string{
		{"fe80::10/64", "2001:db8:9::1/64", "2001:db8:1::1/64"},
		{"fe80::10/64", "2001:db8:1::1/64", "2001:db8:9::1/64"},
		{"fe80::10/64", "2001:db8:1::1/64", "2001:db8:9::1/128"},
		{"fe80::10/64", "2001:db8:1::1/64", "fd00::1/64"},
	} {
		w.on("lan0", addrs...)
		w.wantLinkAddress(alice, fmt.Sprint(addrs), "2001:db8:1::1")
	}
	w.tick()
	l := w.links["lan0"]
	l.Addrs = cidrs("fe80::10/64", "2001:db8:1::1/64", "2001:db8:9::1/64", "2001:db8:5::1/64")
	w.links["lan0"] = l
	w.restart()
	w.wantLinkAddress(alice, "after a restart", "2001:db8:1::1")
	w.reboot(w.now.Wall.Add(time.Minute), true)
	w.wantLinkAddress(alice, "after a reboot", "2001:db8:1::1")
	if got := w.noted(effect.NoteLinkAddress); len(got) != 0 {
		t.Errorf("told of changes that were none: %q", got)
	}
}

// Addresses that go with the link when it goes down are used for an hour once it
// is up again, and not for longer; so are those that are not back after a reboot.
func TestMissingLinkAddress(t *testing.T) {
	w := newWorld(t)
	w.tick()
	missing := func(want bool) {
		t.Helper()
		for _, l := range w.core.Links() {
			if l.Name == "lan0" && l.Missing != want {
				t.Errorf("shown as missing: %v, want %v", l.Missing, want)
			}
		}
	}
	flap := func() {
		w.setLink("lan0", func(l *links.Link) { l.Up, l.Addrs = false, nil })
		w.sleep(3 * time.Hour) // while it is down nothing is asked, and nothing lapses
		w.setLink("lan0", func(l *links.Link) { l.Up, l.Addrs = true, cidrs("fe80::10/64") })
	}
	missing(false)
	flap()
	missing(true)
	w.wantLinkAddress(alice, "up again", "2001:db8:1::1")
	w.sleep(59 * time.Minute)
	w.wantLinkAddress(alice, "after 59 minutes", "2001:db8:1::1")
	// One that is as good takes its place until it is back.
	w.on("lan0", "fe80::10/64", "2001:db8:9::1/64")
	w.wantLinkAddress(alice, "another prefix", "2001:db8:9::1")
	w.on("lan0", "fe80::10/64", "2001:db8:1::1/64", "2001:db8:9::1/64")
	w.wantLinkAddress(alice, "back again", "2001:db8:1::1")
	missing(false)
	w.sleep(2 * time.Hour)
	w.wantLinkAddress(alice, "there to stay", "2001:db8:1::1")

	l := w.links["lan0"]
	l.Addrs = cidrs("fe80::10/64")
	w.links["lan0"] = l
	w.reboot(w.now.Wall.Add(time.Minute), true)
	w.wantLinkAddress(alice, "after a reboot", "2001:db8:1::1")
	missing(true)
	w.tick()
	w.sleep(61 * time.Minute)
	w.wantLinkAddress(alice, "an hour later", "fe80::10")
	missing(false)
	flap()
	w.wantLinkAddress(alice, "what was given up does not come back", "fe80::10")
	w.restart()
	w.wantLinkAddress(alice, "nor by a restart", "fe80::10")
}

// Of several global addresses that came one after another and are gone, the one that
// was used last is held: a server that knows the link by it goes on doing so. A unique
// local address that is there does not take its place, nor does one of full length.
func TestLastLinkAddressIsHeld(t *testing.T) {
	w := newWorld(t)
	w.tick()
	w.on("lan0", "fe80::10/64", "2001:db8:9::1/64")
	w.on("lan0", "fe80::10/64", "2001:db8:8::1/64")
	w.on("lan0", "fe80::10/64", "fd00::1/64", "2001:db8:7::1/128")
	w.wantLinkAddress(alice, "none is there any more", "2001:db8:8::1")
	w.sleep(59 * time.Minute)
	w.wantLinkAddress(alice, "the first one's hour is not over", "2001:db8:8::1")
	w.sleep(2 * time.Minute)
	w.wantLinkAddress(alice, "it is", "2001:db8:8::1")
	w.sleep(58 * time.Minute)
	w.wantLinkAddress(alice, "the last one's hour is not over", "2001:db8:8::1")
	w.sleep(3 * time.Minute)
	w.wantLinkAddress(alice, "both are given up", "fd00::1")

	// While the last one is there it becomes the chosen one once the first is given up.
	w = newWorld(t)
	w.tick()
	w.on("lan0", "fe80::10/64", "2001:db8:9::1/64")
	w.sleep(61 * time.Minute)
	w.on("lan0", "fe80::10/64", "2001:db8:1::1/64", "2001:db8:9::1/64")
	w.wantLinkAddress(alice, "the first one is back too late", "2001:db8:9::1")
}

// An address whose prefix another client-facing link has by now does not stand for
// the link that has lost it.
func TestMissingLinkAddressIsNotAnothers(t *testing.T) {
	w := newWorld(t)
	w.tick()
	w.on("lan0", "fe80::10/64")
	w.wantLinkAddress(alice, "missing", "2001:db8:1::1")
	w.on("lan1", "fe80::11/64", "2001:db8:2::1/64", "2001:db8:1::99/64")
	w.wantLinkAddress(alice, "lan1 has the prefix", "fe80::10")
}

// A change while clients hold leases is told with both addresses.
func TestLinkAddressChangeIsTold(t *testing.T) {
	w := newWorld(t)
	w.on("lan0", "fe80::10/64", "2001:db8:5::1/64")
	w.on("lan0", "fe80::10/64", "2001:db8:1::1/64")
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 1<<20)))
	w.on("lan0", "fe80::10/64", "2001:db8:9::1/64")
	w.on("lan0", "fe80::10/64")
	w.sleep(61 * time.Minute)
	w.sleep(61 * time.Minute)
	var got []string
	for _, n := range w.notes {
		if n.Kind == effect.NoteLinkAddress {
			got = append(got, n.Link+" "+n.Reason)
		}
	}
	want := []string{
		"lan0 from 2001:db8:1::1 to 2001:db8:9::1",
		"lan0 from 2001:db8:9::1 to fe80::10", // which was the last one used, and is given up an hour after the first
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n %q, want\n %q", got, want)
	}
	l := w.links["lan0"]
	l.Addrs = cidrs("fe80::10/64", "2001:db8:7::1/64")
	w.on("lan0", "fe80::10/64", "2001:db8:5::1/64")
	w.tick()
	w.links["lan0"], w.notes = l, nil
	w.restart()
	if len(w.noted(effect.NoteLinkAddress)) != 1 {
		t.Errorf("after a restart: notes %q, want one change", w.noted(effect.NoteLinkAddress))
	}
}

// A Relay-reply that names its link by an address that is no longer there goes to
// the link that had it, unless another one has it now.
func TestFormerLinkAddressIsUnderstood(t *testing.T) {
	w := newWorld(t, rule(func(r *relay6.LinkRule) { r.InterfaceID = links.Template{} }))
	forwarded := w.says(alice, message(dhcp6.Request, 0xabc, clientID(alice.duid)))
	answer := w.answer(forwarded[0].Payload, w.reply(alice))
	if readLayer(t, forwarded[0].Payload).count(18) != 0 {
		t.Fatal("the link is not told by its address alone")
	}
	for i := range 3 { // as many as are remembered beside the chosen one
		w.on("lan0", "fe80::10/64", fmt.Sprintf("2001:db8:%x::1/64", 0x90+i))
	}
	if got := w.serves(answer); len(got) != 1 || got[0].Link != lan0Index {
		t.Errorf("the late answer went to %+v, want lan0 (drops %v)", got, w.drops)
	}
	w.on("lan1", "fe80::11/64", "2001:db8:1::1/64")
	if got := w.serves(answer); len(got) != 1 || got[0].Link != lan1Index {
		t.Errorf("the answer went to %+v, want lan1, whose address it is now (drops %v)", got, w.drops)
	}
}

// A chosen address that the store does not accept is kept when the store works again.
func TestChosenAddressIsKeptLater(t *testing.T) {
	w := newWorld(t)
	w.keepFail = errors.New("disk: gone")
	w.tick()
	key := string(relay6.LinkKey("lan0"))
	if w.store[key] != nil {
		t.Fatal("kept by a store that fails")
	}
	w.keepFail = nil
	w.sleep(10 * time.Second)
	want := relay6.LinkRecord{Address: cidr("2001:db8:1::1/64"), Prefixes: cidrs("2001:db8:1::/64")}
	if link, rec, err := relay6.ParseLinkRecord([]byte(key), w.store[key]); err != nil || link != "lan0" || !reflect.DeepEqual(rec, want) {
		t.Errorf("kept: %q, %+v, %v; want lan0, %+v", link, rec, err, want)
	}
	if at := w.core.Deadline(); at <= w.now.Boot.After(time.Minute) {
		t.Errorf("due at %v although all is kept", time.Duration(at-w.now.Boot))
	}
	for n := range len(w.store[key]) {
		if _, _, err := relay6.ParseLinkRecord([]byte(key), w.store[key][:n]); err == nil {
			t.Errorf("%d octets are a record", n)
		}
	}
}

// Names of links that come and never come back are not remembered for ever.
func TestChosenAddressesAreBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 10000 {
		l := w.links["lan1"]
		l.Name, l.Index = fmt.Sprintf("lanx%d", i), 100+i
		l.Addrs = cidrs("2001:db8:77::1/64")
		w.core.SetLink(l, &w.eff)
		w.core.RemoveLink(l.Name, &w.eff)
		w.carryOut()
	}
	for range 20 {
		w.sleep(3 * time.Second)
	}
	n := 0
	for key := range w.store {
		if letter(key) == 'a' {
			n++
		}
	}
	if n == 0 || n > 8192 {
		t.Errorf("%d addresses are kept, want some, and 8192 at most", n)
	}
	if _, ok := w.store[string(relay6.LinkKey("lan0"))]; !ok {
		t.Error("that of a link that is there was forgotten")
	}
}

// On a link without a link-local address nothing can be answered: neither does a
// message go on, nor does a Reply leave a trace, until there is one. A client that
// speaks from a global address is answered from one.
func TestNoStateWithoutAnAnswer(t *testing.T) {
	w := newWorld(t)
	forwarded := w.says(alice, message(dhcp6.Request, 0xabc, clientID(alice.duid), iaPD(1)))
	granted := w.answer(forwarded[0].Payload, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600))))
	w.on("lan0", "2001:db8:1::1/64") // the other is not there yet, or its uniqueness is not sure yet

	if got := w.serves(granted); len(got) != 0 || w.dropped(effect.DropNoLinkLocal) != 1 {
		t.Errorf("the Reply: %+v, drops %v; want it dropped as no-link-local", got, w.drops)
	}
	w.wants()
	if got := w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid))); len(got) != 0 || w.dropped(effect.DropNoLinkLocal) != 2 {
		t.Errorf("a Solicit: %+v, drops %v; want it dropped as no-link-local", got, w.drops)
	}
	global := alice
	global.addr = "2001:db8:1::a"
	if got := w.says(global, message(dhcp6.InformationRequest, 1)); len(got) != 1 {
		t.Errorf("from a global address: %+v, want it forwarded", got)
	}
	w.on("lan0", "fe80::10/64", "2001:db8:1::1/64")
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

// The same for relays below: what could not be handed down to them does not go up.
func TestNoLinkLocalTowardsARelay(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	w.on("lan1", "2001:db8:2::1/64")
	relayed := relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1))
	if got := w.forwards("fe80::99", 547, relayed); len(got) != 0 || w.dropped(effect.DropNoLinkLocal) != 1 {
		t.Errorf("a Relay-forward: %+v, drops %v; want it dropped as no-link-local", got, w.drops)
	}
}

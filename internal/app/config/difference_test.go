package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each key of a rule that changes is named, and each key has its place in the
// list.
func TestRuleChanged(t *testing.T) {
	old, next := defaultRelay6().Defaults, relay6Of(parsed(t, allSetText())).Links[0]
	var got []string
	for _, c := range RuleChanged(&old, &next) {
		got = append(got, c.Key)
		if c.Old == c.New {
			t.Errorf("%s: %q to itself", c.Key, c.Old)
		}
	}
	want := []string{}
	for _, k := range ruleTexts(&old) {
		if k.key != "unnumbered" { // a link-address rules it out
			want = append(want, k.key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	d := withKeys(false)
	var keys []string
	d.visit = func(path string, all, _ []string) {
		if path == "relay6.defaults" {
			keys = all
		}
	}
	d.config([]byte(every(t)), relays)
	for _, key := range keys {
		listed := slices.ContainsFunc(want, func(w string) bool { return w == key || strings.HasPrefix(w, key+".") })
		if !listed && key != "unnumbered" && key != "sensitive" { // which allows no rule to differ
			t.Errorf("a change of %s is not told", key)
		}
	}
	if c := RuleChanged(&next, &next); len(c) != 0 {
		t.Errorf("a rule differs from itself: %v", c)
	}
	small := old
	small.Delegations.ClientLimit = 1
	if diff := cmp.Diff([]KeyChange{{"limits.client", "8", "1"}}, RuleChanged(&old, &small)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Every setting that the file has, beside peers and links, is compared.
func TestSettingsChanged(t *testing.T) {
	old, all := relays.Default(), parsed(t, allSetText())
	want := []string{}
	d := withKeys(false)
	d.visit = func(path string, keys, _ []string) {
		switch path {
		case "":
			want = append(want, keys...)
		case "relay6", "relay4":
			for _, key := range keys {
				want = append(want, path+"."+key)
			}
		}
	}
	d.config([]byte(every(t)), relays)
	want = slices.DeleteFunc(want, func(key string) bool {
		return slices.Contains([]string{"peers", "relay6", "relay6.defaults", "relay6.links", "relay4", "relay4.defaults", "relay4.links"}, key)
	})
	slices.Sort(want)
	got := old.SettingsChanged(all)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := all.SettingsChanged(all); len(got) != 0 {
		t.Errorf("a configuration differs from itself: %v", got)
	}
}

// Peers are told by name, and a new key is a change too.
func TestPeersChanged(t *testing.T) {
	const start = "relay6: {links: [{match: ppp0}]}\npeers:\n"
	ipsecPeer := func(psk string) string {
		return "  - {name: s, address: 2001:db8::5, local: 2001:db8::1, role: server, interfaces: [eth0], protection: ipsec, ike: {psk-file: /" + psk + ".psk}}\n"
	}
	const a, b = "  - {name: a, address: 2001:db8::a, role: server, interfaces: [eth0], protection: none}\n", "  - {name: b, address: 2001:db8::b, role: server, interfaces: [eth0], protection: none}\n"
	moved := strings.Replace(a, "::a,", "::aa,", 1)
	for _, c := range []struct {
		old, next string
		want      []PeerChange
	}{
		{a + b, b + a, nil},
		{a, a + b, []PeerChange{{"b", "added"}}},
		{a + b, b, []PeerChange{{"a", "removed"}}},
		{a + b, moved + b, []PeerChange{{"a", "changed"}}},
		{ipsecPeer("one"), ipsecPeer("one"), nil},
		{ipsecPeer("one"), ipsecPeer("two") + a, []PeerChange{{"a", "added"}, {"s", "changed"}}},
	} {
		got := parseKeys(t, start+c.old).PeersChanged(&parseKeys(t, start+c.next).Process)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("from\n%sto\n%sgot %v, want %v", c.old, c.next, got, c.want)
		}
	}
}

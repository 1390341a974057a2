package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp4"
)

// Each key of a rule that changes is named, and each key has its place in the list.
func TestRuleChanged(t *testing.T) {
	set := parsed(t, allSetText())
	old6, next6 := defaultRelay6().Defaults, relay6Of(set).Links[0]
	testRuleChanged(t, "relay6", Rule6Changed("ppp0", &old6, &next6), rule6Texts(&old6))
	old4, next4 := defaultRelay4().Defaults, relay4Of(set).Links[0]
	testRuleChanged(t, "relay4", Rule4Changed("ppp0", &old4, &next4), rule4Texts("ppp0", &old4))
	if c := slices.Concat(Rule6Changed("ppp0", &next6, &next6), Rule4Changed("ppp0", &next4, &next4)); len(c) != 0 {
		t.Errorf("a rule differs from itself: %v", c)
	}
	small := old6
	small.Delegations.ClientLimit = 1
	if diff := cmp.Diff([]KeyChange{{"limits.client", "8", "1"}}, Rule6Changed("ppp0", &old6, &small)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	vpn := old4
	vpn.VSS = &dhcp4.VSS{Type: dhcp4.VSSVPNID, Information: []byte{0, 0, 0x5e, 0, 0, 0, 1}}
	if diff := cmp.Diff([]KeyChange{{"vss", "none", "0x00005e00000001"}}, Rule4Changed("ppp0", &old4, &vpn)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// A change of another port changes nothing for this link.
	if c := Rule4Changed("ppp1", &next4, &next4); len(c) != 0 || slices.ContainsFunc(Rule4Changed("ppp1", &old4, &next4), func(c KeyChange) bool { return c.Key == "ports" }) {
		t.Errorf("the ports of other links change this one: %v", c)
	}
}

// testRuleChanged checks that all keys of a section's rules have changed.
func testRuleChanged(t *testing.T, section string, changed []KeyChange, texts []keyText) {
	t.Helper()
	var got []string
	for _, c := range changed {
		got = append(got, c.Key)
		if c.Old == c.New {
			t.Errorf("%s: %s: %q to itself", section, c.Key, c.Old)
		}
	}
	want := []string{}
	for _, k := range texts {
		if k.key != "unnumbered" { // an address excludes this key
			want = append(want, k.key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", section, diff)
	}
	d := withKeys(false)
	var keys []string
	d.visit = func(path string, all, _ []string) {
		if path == section+".defaults" {
			keys = all
		}
	}
	d.config([]byte(every(t)), relays)
	if len(keys) == 0 {
		t.Errorf("%s: no keys", section)
	}
	for _, key := range keys {
		listed := slices.ContainsFunc(want, func(w string) bool { return w == key || strings.HasPrefix(w, key+".") })
		if !listed && key != "unnumbered" && key != "sensitive" { // it allows no value in which the rules could differ
			t.Errorf("%s: a change of %s is not told", section, key)
		}
	}
}

// Every setting of the file, without peers and links, is compared.
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

// Changed peers are listed by name, and a new key is a change too.
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

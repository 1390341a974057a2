package privacy_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/app/config"
	"fairlead/internal/app/privacy"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// Somebody: all that may tell who he is, and each way to write it.
const (
	somebodysDUID   = "\x00\x01\x00\x01\x2a\x3b\x4c\x5d\x02\x00\x5e\x77\x88\x99"
	somebodysAddr   = "2001:db8:cafe:1:0:5eff:fe77:8899"
	somebodysLocal  = "fe80::5eff:fe77:8899"
	somebodysPrefix = "2001:db8:beef:7700::/56"
	somebodysMAC    = "02:00:5e:77:88:99"
	serverAddr      = "2001:db8:ffff::1"
	ourAddr         = "2001:db8:ffff::2"
)

// spellings are parts of the above that a text about him must not have, in lower
// case.
var spellings = []string{
	"2a:3b:4c:5d", "2a3b4c5d", "2a-3b-4c-5d", `\x2a`, `\x4c`,
	"00:5e:77:88:99", "005e778899", "00-5e-77-88-99", "5e778899", "77:88:99", "77-88-99", "778899", "7788.99", `\x88`,
	"cafe:1", "cafe0001", "cafe:0001", "5eff:fe77", "fe77:8899", "5efffe77", "fe778899",
	"beef:77", "beef77", "beef:7700", "5d0200",
}

func leaks(t *testing.T, what, text string) {
	t.Helper()
	low := strings.ToLower(text)
	for _, s := range spellings {
		if strings.Contains(low, s) {
			t.Errorf("%s: %q is in it:\n%s", what, s, text)
		}
	}
}

func rules(all config.Identifiers) *privacy.Rules {
	a := netip.MustParseAddr(serverAddr)
	return privacy.New(privacy.NewKey(), config.Privacy{Log: all, History: all, Trace: all, Crash: all}, []trust.Peer{{
		Name: "srv", Role: trust.Server, Address: a, Prefix: netip.PrefixFrom(a, 128), Local: netip.MustParseAddr(ourAddr),
	}})
}

func mac() linkaddr.Addr {
	a, _ := linkaddr.Parse(somebodysMAC)
	return a
}

// texts are all text forms of somebody.
func texts(m privacy.Mask) map[string]string {
	return map[string]string{
		"DUID":        m.DUIDText(somebodysDUID),
		"address":     m.AddrText(netip.MustParseAddr(somebodysAddr)),
		"link-local":  m.AddrText(netip.MustParseAddr(somebodysLocal)),
		"with a zone": m.AddrText(netip.MustParseAddr(somebodysLocal + "%lan0")),
		"prefix":      m.PrefixText(netip.MustParsePrefix(somebodysPrefix)),
		"link-layer":  m.LinkLayerText(mac()),
	}
}

func TestFullShowsAll(t *testing.T) {
	want := map[string]string{
		"DUID": "00:01:00:01:2a:3b:4c:5d:02:00:5e:77:88:99", "address": somebodysAddr, "link-local": somebodysLocal,
		"with a zone": somebodysLocal + "%lan0", "prefix": somebodysPrefix, "link-layer": somebodysMAC,
	}
	for _, m := range []privacy.Mask{rules(config.IdentifiersFull).Log(), {}} {
		for name, got := range texts(m) {
			if got != want[name] {
				t.Errorf("%s: %q, want %q", name, got, want[name])
			}
		}
	}
}

func TestShortKeepsTheEnds(t *testing.T) {
	want := map[string]string{
		"DUID": "00:01..88:99", "address": "2001:..:8899", "link-local": "fe80:..:8899", "with a zone": "fe80:..:8899%lan0",
		"prefix": "2001:..700::/56", "link-layer": "02:0..8:99",
	}
	for name, got := range texts(rules(config.IdentifiersShort).Log()) {
		if got != want[name] {
			t.Errorf("%s: %q, want %q", name, got, want[name])
		}
	}
	if got := rules(config.IdentifiersShort).Log().AddrText(netip.MustParseAddr("fe80::a")); got == "fe80::a" {
		t.Errorf("a short address is whole: %q", got)
	}
}

func TestHashedTellsApartAndNoMore(t *testing.T) {
	r := rules(config.IdentifiersHashed)
	seen := make(map[string]string)
	for name, got := range texts(r.Log()) {
		leaks(t, name, got)
		if !strings.HasPrefix(got, "#") || len(strings.TrimSuffix(strings.TrimSuffix(got, "%lan0"), "/56")) != 13 {
			t.Errorf("%s: %q, want # and twelve digits", name, got)
		}
		if again := texts(r.Trace())[name]; again != got {
			t.Errorf("%s: %q in the log and %q in a trace", name, got, again)
		}
		seen[strings.TrimSuffix(got, "%lan0")] = name
	}
	if len(seen) != 5 {
		t.Errorf("hashes %v, want five: the two link-local ones are the same", seen)
	}
	for name, other := range texts(rules(config.IdentifiersHashed).Log()) {
		if other == texts(r.Log())[name] {
			t.Errorf("%s: the same hash under another key", name)
		}
	}
	k := privacy.NewKey()
	r.UseKey(k)
	after := privacy.New(k, config.Privacy{Log: config.IdentifiersHashed}, nil)
	if a, b := r.Log().DUIDText(somebodysDUID), after.Log().DUIDText(somebodysDUID); a != b {
		t.Errorf("one key, two hashes: %s and %s", a, b)
	}
}

func TestNone(t *testing.T) {
	for name, got := range texts(rules(config.IdentifiersNone).Log()) {
		if want := map[string]string{"prefix": "-/56", "with a zone": "-%lan0"}[name]; got != want && (want != "" || got != "-") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What the configuration has is no secret: without it no message about a peer
// helps. Nor is an address that is nobody's.
func TestPeersAreShown(t *testing.T) {
	for _, how := range []config.Identifiers{config.IdentifiersShort, config.IdentifiersHashed, config.IdentifiersNone} {
		m := rules(how).Log()
		for _, a := range []string{serverAddr, ourAddr, "::", "::1", "ff02::1:2"} {
			if got := m.AddrText(netip.MustParseAddr(a)); got != a {
				t.Errorf("%v: %q, want %q", how, got, a)
			}
			if got := m.Addr(netip.MustParseAddr(a)); got.String() != a {
				t.Errorf("%v: %v, want %s", how, got, a)
			}
			if got := m.Text("to [" + a + "]:547: no route"); got != "to ["+a+"]:547: no route" {
				t.Errorf("%v: %q", how, got)
			}
		}
	}
	r := rules(config.IdentifiersHashed)
	r.Reconfigure(config.Privacy{Log: config.IdentifiersHashed}, nil)
	if got := r.Log().AddrText(netip.MustParseAddr(serverAddr)); got == serverAddr {
		t.Error("an address that is no peer's any more is shown")
	}
	wide := []trust.Peer{{Role: trust.Relay, Address: netip.MustParseAddr("2001:db8:cafe:1::1"), Prefix: netip.MustParsePrefix("2001:db8:cafe:1::/64")}}
	r.Reconfigure(config.Privacy{Log: config.IdentifiersHashed}, wide)
	leaks(t, "an address in the prefix of many relays", r.Log().AddrText(netip.MustParseAddr(somebodysAddr)))
}

func TestText(t *testing.T) {
	for _, text := range []string{
		"route 2001:db8:beef:7700::/56 via fe80::5eff:fe77:8899 dev 3 table 254 metric 1024: file exists",
		"missing element 2001:db8:beef:7700::/56 . lan0",
		"link:fe80::5eff:fe77:8899, code:2001:db8:cafe:1:0:5eff:fe77:8899.",
		"[fe80::5eff:fe77:8899%lan0]:546",
		"(2001:DB8:CAFE:1:0:5EFF:FE77:8899)",
		"DUID 00:01:00:01:2a:3b:4c:5d:02:00:5e:77:88:99 refused",
		"DUID=000100012a3b4c5d02005e778899",
		"key \"640020010db8beef77000000000000000038\"",
		"02-00-5E-77-88-99 and 02:00:5e:77:88:99 on lan0",
		"source=2001:db8:cafe:0001:0000:5eff:fe77:8899",
		"2001:db8:cafe:1:0:5eff:fe77:8899: no route to host",
	} {
		for _, how := range []config.Identifiers{config.IdentifiersHashed, config.IdentifiersNone} {
			leaks(t, how.String(), rules(how).Log().Text(text))
		}
		if got := rules(config.IdentifiersFull).Log().Text(text); got != text {
			t.Errorf("full: %q, want %q", got, text)
		}
	}
}

// Words, numbers and figures stay as they are.
func TestTextIsNoIdentifier(t *testing.T) {
	m := rules(config.IdentifiersHashed).Log()
	for _, text := range []string{
		"", "a", "::", "granted", "link vanished", "lan0: device is down: 3 of 14", "decade", "route refused: network is unreachable",
		"kernel differed: mended", "took 1.5s, 12:30, 1e100", "store: the disk is full: less than 1073741824 octets are left", "fe80 is no address: dead beef",
		"mended :: all", "a:b", "1:2", "peer srv-a1: no answer",
	} {
		if got := m.Text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a:b", "fe80::1/64 x", "00:01:02-03", "::::", "[::1]:547", "1.2.3.4/33", "aaaaaaaaaaaaaaaa", "/", "::/129"} {
		f.Add(s)
	}
	m := rules(config.IdentifiersNone).Log()
	f.Fuzz(func(t *testing.T, s string) {
		got := m.Text(s)
		if again := m.Text(got); again != got {
			t.Errorf("%q, masked %q, masked again %q", s, got, again)
		}
	})
}

package history

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/app/privacy"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/ledger"
	"fairlead/internal/host/store"
	"fairlead/internal/wire/linkaddr"
)

// hers is a binding that somebody has had, in DHCPv6 or in DHCPv4.
func hers(in binding.Space) binding.Binding {
	b := binding.Binding{
		Link: "d1", Client: binding.DUID("\x00\x03\x00\x01somebody"), Prefix: netip.MustParsePrefix("2001:db8:beef:7700::/56"), NextHop: netip.MustParseAddr("fe80::beef:77"),
		LinkLayer: linkaddr.From([]byte("\x02ebody")), Server: "server", Granted: time.Unix(1e9, 0), Lifetime: time.Hour,
	}
	if in == binding.Relay4 {
		b.Client, b.Prefix, b.NextHop = binding.ClientID("\x01somebody"), netip.MustParsePrefix("198.51.100.77/32"), netip.MustParseAddr("198.51.100.77")
	}
	return b
}

// leftOf are parts of her identifiers and addresses, as octets and as text.
var leftOf = []string{"ebody", "beef:77", "\xbe\xef\x77", "198.51.100.77", "\xc6\x33\x64\x4d"}

func past(n int, in binding.Space) store.Op {
	p := ledger.Past{Record: binding.Record{Space: in, Binding: hers(in), BootID: "boot", ValidWall: time.Unix(2e9, 0)}, Reason: "expired"}
	return store.Op{Key: append(ended(n), in...), Value: p.Value()}
}

// Entries that were kept before the configuration wanted them masked are masked once. What cannot
// be read as an entry stays.
func TestHistoryIsMaskedAfterwards(t *testing.T) {
	all := config.IdentifiersHashed
	rules := privacy.New(privacy.NewKey(), config.Privacy{Log: all, History: all, Trace: all, Crash: all}, nil)
	s := newShelf(t)
	var ops []store.Op
	for n := range maskAtOnce + 2 {
		ops = append(ops, past(n, []binding.Space{binding.Relay6, binding.Relay4}[n%2]))
	}
	s.put(t, append(ops, store.Op{Key: ended(maskAtOnce + 2), Value: []byte("odd")}))
	h := New(quiet, s, rules)
	limits := config.History{Keep: 365 * 24 * time.Hour, Entries: 1e6}
	now := firstEnd.Add(30 * 24 * time.Hour)
	for range 2 {
		if err := h.shorten(t.Context(), limits, now, true); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.sizes) != 2 || s.sizes[0] != maskAtOnce || s.sizes[1] != 2 {
		t.Errorf("commits of %v entries, want %d and 2, once", s.sizes, maskAtOnce)
	}
	n := 0
	err := s.Store.Scan([]byte("h"), []byte("i"), func(k, v []byte) bool {
		n++
		p, err := ledger.ParsePast(k, v)
		if err != nil {
			if string(v) != "odd" {
				t.Errorf("%x is no record any more: %v", v, err)
			}
			return true
		}
		text := fmt.Sprintf("%s %s %v %v", v, p.Client, p.Prefix, p.NextHop)
		for _, part := range leftOf {
			if strings.Contains(text, part) {
				t.Errorf("%q is in %q", part, text)
			}
		}
		if p.Link != "d1" || p.Reason != "expired" || !p.ValidWall.Equal(time.Unix(2e9, 0)) || !p.Granted.Equal(hers(p.Space).Granted) {
			t.Errorf("too little is left of it: %+v", p)
		}
		return true
	})
	if err != nil || n != maskAtOnce+3 {
		t.Errorf("%d entries, %v; want %d", n, err, maskAtOnce+3)
	}
}

// There is no history where identifiers are not even kept as hashes, nor where the store keeps as
// little as possible.
func TestNoHistoryByPrivacy(t *testing.T) {
	for _, tc := range []struct {
		p    config.Privacy
		want time.Duration
	}{
		{config.Privacy{}, time.Hour},
		{config.Privacy{History: config.IdentifiersHashed}, time.Hour},
		{config.Privacy{History: config.IdentifiersNone}, 0},
		{config.Privacy{StoreMinimal: true}, 0},
	} {
		c := &config.Config{Process: config.Process{Privacy: tc.p}, History: config.History{Keep: time.Hour, Entries: 7}}
		if got := Of(c); got.Keep != tc.want || got.Entries != 7 {
			t.Errorf("%+v: %+v, want it kept for %v", tc.p, got, tc.want)
		}
		if got := Records(c, nil); got.NoHistory != (tc.want == 0) || got.Minimal != tc.p.StoreMinimal {
			t.Errorf("%+v: no history: %v, little: %v", tc.p, got.NoHistory, got.Minimal)
		}
	}
}

package config_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/app/config"
)

// What is reserved at run time is held against the file, and against what was reserved before, by
// the file's checks. An error names both places.
func TestReserveAtRunTime(t *testing.T) {
	c, err := config.Kinds{config.Server6Kind()}.Parse("f.yaml", []byte(`server6:
  links: [{match: lan0}]
  subnets:
    - subnet: 2001:db8:1::/64
      pools: [{pool: "2001:db8:1::1000-2001:db8:1::1fff"}]
      pd-pools: [{prefix: 2001:db8:4000::/40, delegated-length: 56}]
      reservations:
        - {duid: "00:03:00:01:02:00:5e:10:00:01", addresses: 2001:db8:1::5}
    - subnet: 2001:db8:2::/64
`))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Sections["server6"].(*config.Server6)
	one, other := netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:2::/64")
	const second = `{"duid": "00:03:00:01:02:00:5e:10:00:02", "addresses": ["2001:db8:1::6"]}`
	for name, x := range map[string]struct {
		subnet netip.Prefix
		text   string
		want   string // part of the error; empty: there is none
	}{
		"good":               {one, second, ""},
		"in a pool":          {one, `{"link-layer-address": "02:00:5e:10:00:03", "addresses": ["2001:db8:1::1003"], "prefixes": ["2001:db8:4000:300::/56"]}`, ""},
		"by relay":           {one, `{"relay-id": "00:03:00:01:02:00:5e:10:00:09", "interface-id": "0x6162", "prefixes": ["2001:db8:9000::/48"]}`, ""},
		"same in another":    {other, `{"duid": "00:03:00:01:02:00:5e:10:00:01", "addresses": ["2001:db8:2::5"]}`, ""},
		"client of the file": {one, `{"duid": "00:03:00:01:02:00:5e:10:00:01", "addresses": ["2001:db8:1::7"]}`, "new: the same identifiers as server6.subnets[0].reservations[0], on line 8"},
		"address of file":    {one, `{"duid": "00:03:00:01:02:00:5e:10:00:04", "addresses": ["2001:db8:1::5"]}`, "new.addresses[0]: overlaps 2001:db8:1::5 of server6.subnets[0].reservations[0].addresses, on line 8"},
		"elsewhere":          {one, `{"duid": "00:03:00:01:02:00:5e:10:00:04", "addresses": ["2001:db8:2::5"]}`, "2001:db8:2::5 is not in the subnet 2001:db8:1::/64 of server6.subnets[0].subnet, on line 4"},
		"no subnet":          {netip.MustParsePrefix("2001:db8:7::/64"), second, "outside of every subnet"},
		"part of a pool":     {one, `{"duid": "00:03:00:01:02:00:5e:10:00:04", "prefixes": ["2001:db8:4000:300::/60"]}`, "60 bits in the pool 2001:db8:4000::/40 of server6.subnets[0].pd-pools[0].prefix, on line 6"},
		"half a relay":       {one, `{"relay-id": "00:03:00:01:02:00:5e:10:00:09", "addresses": ["2001:db8:1::7"]}`, "a relay-id without interface-id"},
		"nobody":             {one, `{"addresses": ["2001:db8:1::7"]}`, "no identifier"},
		"nothing":            {one, `{"duid": "00:03:00:01:02:00:5e:10:00:04"}`, "nothing is reserved"},
		"itself":             {one, `{"duid": "00:03:00:01:02:00:5e:10:00:04", "addresses": ["2001:db8:1::7", "2001:db8:1::7"]}`, "overlaps 2001:db8:1::7 of new.addresses[0], made at run time"},
		"client before":      {one, `{"duid": "00:03:00:01:02:00:5e:10:00:08", "addresses": ["2001:db8:1::9"]}`, "new: the same identifiers as first, made at run time"},
		"address before":     {one, `{"duid": "00:03:00:01:02:00:5e:10:00:04", "addresses": ["2001:db8:1::8"]}`, "new.addresses[0]: overlaps 2001:db8:1::8 of first.addresses[0], made at run time"},
		"no mapping":         {one, `7`, `"7" (want a mapping`},
	} {
		first := config.Reserved6{Name: "first", Subnet: one, Text: `{"duid": "00:03:00:01:02:00:5e:10:00:08", "addresses": ["2001:db8:1::8"]}`}
		with, refused := s.Reserve([]config.Reserved6{first, {Name: "new", Subnet: x.subnet, Text: x.text}})
		if refused[0] != nil {
			t.Errorf("%s: the first one is refused: %v", name, refused[0])
		}
		count := 0
		for _, n := range with.Subnets {
			count += len(n.Subnets[0].Reservations)
		}
		switch want := 3; {
		case x.want == "" && (refused[1] != nil || count != want):
			t.Errorf("%s: %d reservations, want %d (%v)", name, count, want, refused[1])
		case x.want != "" && (refused[1] == nil || !strings.Contains(refused[1].Error(), x.want) || count != want-1):
			t.Errorf("%s: %d reservations, error %v, want %d and %q", name, count, refused[1], want-1, x.want)
		}
		if n := len(s.Subnets[0].Subnets[0].Reservations); n != 1 {
			t.Fatalf("%s: the file has %d reservations now", name, n)
		}
	}
	for p, want := range map[string]netip.Prefix{"2001:db8:2::7/128": other, "2001:db8:4012::/56": one, "2001:db8:7::/64": {}} {
		if got := s.SubnetOf(netip.MustParsePrefix(p)); got != want {
			t.Errorf("the subnet of %s is %v, want %v", p, got, want)
		}
	}
}

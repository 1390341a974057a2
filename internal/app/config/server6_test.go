package config

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// everyOfServer6 returns the reference file of the DHCPv6 server with its examples set.
func everyOfServer6() string { return example.ReplaceAllString(Server6Reference(), "$1$2") }

func served(t *testing.T, text string) *Server6 {
	t.Helper()
	c, err := servers.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return server6Of(c)
}

// The values in the reference file are the defaults.
func TestServer6ReferenceHasTheDefaults(t *testing.T) {
	got := served(t, Server6Reference())
	if c := server6Of(servers.Default()); len(c.Changed(got)) != 1 || c.Changed(got)[0] != "subnets" {
		t.Errorf("keys that differ from the defaults: %q, want only the subnets, which have none", c.Changed(got))
	}
	links := []server6.LinkRule{{
		Match:  []string{"eth1", "br-cust*"},
		Limits: delegation.Policy{ClientLimit: 8, LinkLimit: 4096, HostLimit: delegation.HostLimitAuto, Move: delegation.MoveAuto},
		Router: true, Host: defaultPolicy6(),
		Rate: admission.Limits{
			Link:      admission.Rate{PerSecond: 10000, Burst: 10000},
			Source:    admission.Rate{PerSecond: 50, Burst: 200},
			Newcomers: admission.Rate{PerSecond: 5000, Burst: 5000},
		},
	}}
	if diff := cmp.Diff(links, got.Links); diff != "" {
		t.Errorf("links (-want +got)\n%s", diff)
	}
	short := served(t, "server6: {links: [{match: [eth1, br-cust*]}], subnets: [{subnet: 2001:db8:1::/64}]}")
	if diff := cmp.Diff(short, got, asWritten); diff != "" {
		t.Errorf("what is left out and what the file says (-left out +file)\n%s", diff)
	}
}

// Every key that the decoder knows is in the reference file.
func TestServer6ReferenceIsComplete(t *testing.T) {
	d := withKeys(false)
	allowed, present := visited(t, d, func() { d.config([]byte(everyOfServer6()), servers) })
	// A subnet of a shared network has the keys of any other subnet. The other keys are in
	// fairlead.yaml.
	want := allowed["server6.subnets[]"]
	if got := allowed["server6.shared-networks[].subnets[]"]; !cmp.Equal(got, want) {
		t.Errorf("keys of a subnet of a shared network: %q, want %q", got, want)
	}
	delete(allowed, "server6.shared-networks[].subnets[]")
	options := allowed["server6.options"]
	for path, keys := range allowed {
		switch {
		case !strings.HasPrefix(path, "server6"):
			delete(allowed, path)
		case path != "server6.options" && strings.HasSuffix(path, ".options"):
			if !cmp.Equal(keys, options) {
				t.Errorf("%s: %q, want %q", path, keys, options)
			}
			delete(allowed, path)
		}
	}
	complete(t, "server6.yaml", allowed, present, []string{
		"server6", "server6.client-classes[]", "server6.client-classes[].relay-options[]", "server6.client-classes[].vendor-class",
		"server6.lifetimes", "server6.limits", "server6.links[]", "server6.links[].limits", "server6.links[].loop-exempt", "server6.links[].rate", "server6.links[].routes", "server6.options", "server6.options.raw[]",
		"server6.shared-networks[]", "server6.shared-networks[].lifetimes", "server6.subnets[]", "server6.subnets[].lifetimes",
		"server6.subnets[].pd-pools[]", "server6.subnets[].pools[]", "server6.subnets[].reservations[]", "server6.subnets[].reservations[].remote-id",
	})
}

const allOfServer6 = `
peers:
  - {name: access7, address: 2001:db8:ffff::7, role: relay, interfaces: [eth0], protection: none}
  - {name: four, address: 192.0.2.67, role: server, interfaces: [eth0], protection: none}
relay4: {links: [{match: ppp0}]}
server6:
  server-id: 00:03:00:01:02:00:5e:10:00:09
  limits: {client: 16, per-mac: none}
  links: [{match: eth1, limits: {client: 2, link: 9, per-mac: none}, rate: {link: 100, source: 10}, lease-move: deny, filter: strict, loop-exempt: {clients: ["00:03:00:01:02:00:5e:10:00:01"]}}]
  lifetimes: {preferred: 100s, valid: 200s, t1: 30s, t2: 60s}
  rapid-commit: true
  preference: 7
  address-registration: true
  assignment-option: 65282
  options: {raw: [{code: 23, hex: 20010db8000000000000000000000053, always: true}]}
  client-classes:
    - name: boxes
      vendor-class: {enterprise: 4491, data: docsis}
      user-class: 0x0102
      architecture: 7
      relay-options: [{code: 38, contains: gold}]
      options: {raw: [{code: 41, text: CET}]}
  subnets:
    - subnet: 2001:db8:1::/64
      interfaces: eth1
      link-addresses: [2001:db8:1::1, 2001:db8:99::1]
      interface-ids: [ge-0/0/1, 0x00ff]
      options: {raw: [{code: 42, hex: "11"}]}
      pools:
        - {pool: "2001:db8:1::/120", class: boxes}
        - pool: 2001:db8:1::1000 - 2001:db8:1::10ff
          options: {raw: [{code: 42, hex: "12"}]}
        - {pool: 2001:db8:1::2000-2001:db8:1::2000}
      pd-pools:
        - prefix: 2001:db8:4000::/34
          delegated-length: 56
          delegated-lengths: 52-60
          exclude: 2001:db8:4000:f::/64
          class: boxes
          options: {raw: [{code: 42, hex: "13"}]}
        - {prefix: 2001:db8:8000::/48, delegated-length: 64}
      reservations:
        - duid: 00:03:00:01:02:00:5e:10:00:01
          link-layer-address: 02:00:5e:10:00:01
          remote-id: {enterprise: 32473, id: line}
          relay-id: 00:03:00:01:02:00:5e:10:00:07
          interface-id: a
          addresses: 2001:db8:1::10
          prefixes: [2001:db8:4000:100::/56, 2001:db8:f000::/48]
          options: {raw: [{code: 42, hex: "14"}]}
  shared-networks:
    - name: campus
      lifetimes: {preferred: 1000s, valid: infinity, t1: auto, t2: auto}
      preference: 8
      options:
        dns-servers: [2001:db8::53, fe80::53]
        domain-search: [example.org, a.]
        ntp-servers: [ntp.example, 2001:db8::123, ff05::101]
        sntp-servers: 2001:db8::123
        sol-max-rt: 1h
        inf-max-rt: 1d
        information-refresh-time: infinity
        boot-file-url: http://[2001:db8::80]/boot.efi
      subnets:
        - {subnet: 2001:db8:2::/64, interfaces: [eth2, "br*"]}
        - {subnet: 2001:db8:3::/64, interfaces: "br-*", lifetimes: {preferred: 0}, rapid-commit: false, preference: 9}
`

// The core is given what the file says, with what subnets inherit.
func TestServer6AsTheCoreHasIt(t *testing.T) {
	c, err := servers.Parse("f.yaml", []byte(allOfServer6))
	if err != nil {
		t.Fatal(err)
	}
	s := server6Of(c)
	duid := func(last byte) dhcp6.DUID { return dhcp6.DUID{0, 3, 0, 1, 2, 0, 0x5e, 0x10, 0, last} }
	raw := func(code dhcp6.OptionCode, data string) []server6.Option {
		return []server6.Option{{Code: code, Data: []byte(data)}}
	}
	lifetimes := server6.Lifetimes{Preferred: 100, Valid: 200, T1: 30, T2: 60}
	shared := server6.Lifetimes{Preferred: 1000, Valid: dhcp6.Infinity}
	deprecated := shared
	deprecated.Preferred = 0
	strict := defaultPolicy6()
	strict.Filter = hoststate.FilterStrict
	address, prefix := netip.MustParseAddr, netip.MustParsePrefix
	want := server6.Config{
		ServerID: duid(9), AssignmentOption: 65282, Registers: true,
		Peers: []trust.Peer{{
			Name: "access7", Address: address("2001:db8:ffff::7"), Prefix: prefix("2001:db8:ffff::7/128"),
			Role: trust.Relay, Interfaces: []string{"eth0"}, HeardBy: "server6", Protection: trust.ProtectionNone,
		}},
		Links: []server6.LinkRule{{
			Match: []string{"eth1"}, Limits: delegation.Policy{ClientLimit: 2, LinkLimit: 9, Move: delegation.MoveDeny}, Router: true, Host: strict, LoopExemptClient: []dhcp6.DUID{{0, 3, 0, 1, 2, 0, 0x5e, 0x10, 0, 1}},
			Rate: admission.Limits{
				Link:      admission.Rate{PerSecond: 100, Burst: 100},
				Source:    admission.Rate{PerSecond: 10, Burst: 40},
				Newcomers: admission.Rate{PerSecond: 50, Burst: 50},
			},
		}},
		Relayed: delegation.Policy{ClientLimit: 16, LinkLimit: math.MaxInt32},
		Networks: []server6.Network{{
			Name: "2001:db8:1::/64",
			Subnets: []server6.Subnet{{
				Prefix: prefix("2001:db8:1::/64"), Interfaces: []string{"eth1"},
				LinkAddresses: []netip.Addr{address("2001:db8:99::1")}, // the other address is in the prefix
				InterfaceIDs:  [][]byte{[]byte("ge-0/0/1"), {0, 0xff}},
				Lifetimes:     lifetimes, RapidCommit: true, Preference: 7,
				Options: raw(42, "\x11"),
				Pools: []server6.AddressPool{
					{First: address("2001:db8:1::1"), Last: address("2001:db8:1::ff"), Class: "boxes"},
					{First: address("2001:db8:1::1000"), Last: address("2001:db8:1::10ff"), Options: raw(42, "\x12")},
					{First: address("2001:db8:1::2000"), Last: address("2001:db8:1::2000")},
				},
				PDPools: []server6.PrefixPool{
					{
						Prefix: prefix("2001:db8:4000::/34"), Length: 56, Min: 52, Max: 60, Exclude: prefix("2001:db8:4000:f::/64"),
						Class: "boxes", Options: raw(42, "\x13"),
					},
					{Prefix: prefix("2001:db8:8000::/48"), Length: 64, Min: 64, Max: 64},
				},
				Reservations: []server6.Reservation{{
					DUID: duid(1), LinkLayer: linkaddr.From([]byte{2, 0, 0x5e, 0x10, 0, 1}),
					RemoteID: []byte("\x00\x00\x7e\xd9line"), RelayID: duid(7), InterfaceID: []byte("a"),
					Addresses: []netip.Addr{address("2001:db8:1::10")},
					Prefixes:  []netip.Prefix{prefix("2001:db8:4000:100::/56"), prefix("2001:db8:f000::/48")},
					Options:   raw(42, "\x14"),
				}},
			}},
		}, {
			Name: "campus",
			Options: []server6.Option{
				{Code: dhcp6.OptionDNSServers, Data: slices.Concat(address("2001:db8::53").AsSlice(), address("fe80::53").AsSlice())},
				{Code: dhcp6.OptionDomainList, Data: []byte("\x07example\x03org\x00\x01a\x00")},
				{Code: dhcp6.OptionNTPServer, Data: []byte("\x00\x03\x00\x0d\x03ntp\x07example\x00")},
				{Code: dhcp6.OptionNTPServer, Data: slices.Concat([]byte{0, 1, 0, 16}, address("2001:db8::123").AsSlice())},
				{Code: dhcp6.OptionNTPServer, Data: slices.Concat([]byte{0, 2, 0, 16}, address("ff05::101").AsSlice())},
				{Code: dhcp6.OptionSNTPServers, Data: address("2001:db8::123").AsSlice()},
				{Code: dhcp6.OptionSolMaxRT, Data: []byte{0, 0, 0x0e, 0x10}},
				{Code: dhcp6.OptionInfMaxRT, Data: []byte{0, 1, 0x51, 0x80}},
				{Code: dhcp6.OptionInformationRefreshTime, Data: []byte{0xff, 0xff, 0xff, 0xff}},
				{Code: dhcp6.OptionBootFileURL, Data: []byte("http://[2001:db8::80]/boot.efi")},
			},
			Subnets: []server6.Subnet{
				{Prefix: prefix("2001:db8:2::/64"), Interfaces: []string{"eth2", "br*"}, Lifetimes: shared, RapidCommit: true, Preference: 8},
				{Prefix: prefix("2001:db8:3::/64"), Interfaces: []string{"br-*"}, Lifetimes: deprecated, Preference: 9},
			},
		}},
		Classes: []server6.Class{{
			Name: "boxes",
			Tests: []server6.Test{
				{Option: dhcp6.OptionVendorClass, Enterprise: 4491, Contains: []byte("docsis")},
				{Option: dhcp6.OptionUserClass, Contains: []byte{1, 2}},
				{Option: 61, Contains: []byte{0, 7}},
				{Option: dhcp6.OptionSubscriberID, Relay: true, Contains: []byte("gold")},
			},
			Options: raw(41, "CET"),
		}},
		Options: []server6.Option{{Code: 23, Data: address("2001:db8::53").AsSlice(), Always: true}},
		Secret:  [32]byte{1},
		Records: ledger.Records{Minimal: true},
	}
	got := s.Core(c.Peers, s.ServerID, [32]byte{1}, ledger.Records{Minimal: true})
	if diff := cmp.Diff(want, got, asWritten, cmp.Comparer(func(a, b linkaddr.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !s.Serves(DHCPv6, "eth1") || s.Serves(DHCPv4, "eth1") || s.Serves(DHCPv6, "eth2") {
		t.Error("the server serves other links than eth1, or not in DHCPv6")
	}
}

// The same options may stand in every place, and a client of other authors reads in all of them
// what the file says.
func TestServer6OptionsAsClientsReadThem(t *testing.T) {
	const options = `options: {dns-servers: [2001:db8::53, 2001:db8::54], domain-search: [example.org, lab.example.],
        ntp-servers: [2001:db8::123, ntp.example.org, ff05::101], sntp-servers: [2001:db8::123, 2001:db8::124],
        sol-max-rt: 2h, inf-max-rt: 90m, information-refresh-time: 6h, boot-file-url: "tftp://[2001:db8::69]/boot.efi"}`
	want := []string{
		"DNS 2001:db8::53 2001:db8::54", "search example.org lab.example", "SNTP 2001:db8::123 2001:db8::124",
		"NTP 2001:db8::123", "NTP ntp.example.org", "NTP on ff05::101", "refresh 6h0m0s", "boot tftp://[2001:db8::69]/boot.efi",
		"82 7200", "83 5400",
	}
	s := served(t, strings.ReplaceAll(`
server6:
  links: [{match: eth1}]
  OPTIONS
  client-classes: [{name: a, user-class: x, OPTIONS}]
  subnets:
    - subnet: 2001:db8:1::/64
      OPTIONS
      pools: [{pool: "2001:db8:1::/112", OPTIONS}]
      pd-pools: [{prefix: 2001:db8:4000::/40, delegated-length: 56, OPTIONS}]
      reservations: [{duid: "00:01:02", OPTIONS}]
  shared-networks: [{name: b, OPTIONS, subnets: [{subnet: 2001:db8:2::/64}]}]
`, "OPTIONS", options))
	subnet := &s.Subnets[0].Subnets[0]
	for place, options := range map[string][]server6.Option{
		"server": s.Options, "class": s.Classes[0].Options, "subnet": subnet.Options, "pool": subnet.Pools[0].Options,
		"pd-pool": subnet.PDPools[0].Options, "reservation": subnet.Reservations[0].Options, "shared network": s.Shared[0].Options,
	} {
		b := dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 1)
		for _, o := range options {
			b = dhcp6.AppendOption(b, o.Code, o.Data)
		}
		m, err := dhcpv6.MessageFromBytes(b)
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		o := m.Options
		got := []string{
			"DNS " + spaced(o.DNS()), "search " + strings.Join(o.DomainSearchList().Labels, " "), "SNTP " + spaced(o.SNTP()),
		}
		for _, server := range o.Get(dhcpv6.OptionNTPServer) {
			for _, source := range server.(*dhcpv6.OptNTPServer).Suboptions {
				switch source := source.(type) {
				case *dhcpv6.NTPSuboptionSrvAddr:
					got = append(got, "NTP "+net.IP(*source).String())
				case *dhcpv6.NTPSuboptionSrvFQDN:
					got = append(got, "NTP "+strings.Join(source.Labels.Labels, " "))
				case *dhcpv6.NTPSuboptionMCAddr:
					got = append(got, "NTP on "+net.IP(*source).String())
				}
			}
		}
		got = append(got, fmt.Sprintf("refresh %s", o.InformationRefreshTime(0)), "boot "+o.BootFileURL())
		for _, code := range []dhcpv6.OptionCode{dhcpv6.OptionSolMaxRT, dhcpv6.OptionInfMaxRT} {
			got = append(got, fmt.Sprintf("%d %d", code, binary.BigEndian.Uint32(o.GetOne(code).ToBytes())))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", place, diff)
		}
	}
}

// spaced returns addresses with spaces between them.
func spaced(addresses []net.IP) string {
	return strings.Trim(fmt.Sprint(addresses), "[]")
}

// Every field of the core's types is filled in by some key.
func TestEveryFieldOfServer6HasAKey(t *testing.T) {
	c, err := servers.Parse("f.yaml", []byte(allOfServer6))
	if err != nil {
		t.Fatal(err)
	}
	filled := make(map[string]bool)
	var look func(path string, v reflect.Value)
	look = func(path string, v reflect.Value) {
		switch {
		case v.Kind() == reflect.Slice && strings.HasSuffix(v.Type().Elem().PkgPath(), "core/server6"):
			if v.Type().Elem() == reflect.TypeFor[server6.Option]() {
				filled[path] = filled[path] || v.Len() > 0
				path = "Option" // all options are checked in the same way
			}
			for i := range v.Len() {
				look(path+"[]", v.Index(i))
			}
		case v.Kind() == reflect.Struct && strings.HasSuffix(v.Type().PkgPath(), "core/server6"):
			for i := range v.NumField() {
				look(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		default:
			filled[path] = filled[path] || !v.IsZero()
		}
	}
	core := server6Of(c).Core(c.Peers, dhcp6.DUID{0, 1, 2}, [32]byte{1}, ledger.Records{Minimal: true})
	core.Aggregates = []hoststate.Aggregate{{}} // the file's, if no other role has them
	look("Config", reflect.ValueOf(core))
	for path, ok := range filled {
		if !ok {
			t.Errorf("%s: never set, though every key is", path)
		}
	}
	if len(filled) < 30 {
		t.Errorf("%d fields, want those of all types", len(filled))
	}
}

// What a relay sends is for one role: the only role of its family, or the role that the file
// names.
func TestPeersAreHeardByOneRole(t *testing.T) {
	const (
		server   = "{name: kea, address: 2001:db8::547, role: server, interfaces: [u0], protection: none}"
		relay    = "{name: access, address: 2001:db8::7, role: relay, interfaces: [u1], protection: none"
		four     = "{name: four, address: 192.0.2.7, role: relay, interfaces: [u1], protection: none}, {name: kea4, address: 192.0.2.67, role: server, interfaces: [u0], protection: none}"
		relayed  = "relay6: {links: [{match: ppp0}]}\n"
		subnet   = "subnets: [{subnet: 2001:db8:1::/64}]"
		serving  = "server6: {links: [{match: eth1}], " + subnet + "}\n"
		relaying = "server6: {" + subnet + "}\n"
	)
	for _, c := range []struct{ name, text, six, relay, four string }{
		{"the relay alone", "peers: [" + server + ", " + relay + "}]\n" + relayed, "", "kea access", ""},
		{"the relay without a section", "peers: [" + server + ", " + relay + "}]\n", "", "kea access", ""},
		{"the server alone", "peers: [" + relay + "}]\n" + relaying, "access", "", ""},
		{"the server by name", "peers: [" + relay + ", heard-by: server6}]\n" + relaying, "access", "", ""},
		{"both, and the server", "peers: [" + server + ", " + relay + ", heard-by: server6}]\n" + relayed + relaying, "access", "kea", ""},
		{"both, and the relay", "peers: [" + server + ", " + relay + ", heard-by: relay6}]\nrelay6: {}\n" + serving, "", "kea access", ""},
		{"another family", "peers: [" + relay + "}, " + four + "]\n" + relaying, "access", "", "four kea4"},
	} {
		config, err := servers.Parse("f.yaml", []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, want := range []struct {
			role   string
			family Family
			peers  string
		}{{"server6", DHCPv6, c.six}, {"relay6", DHCPv6, c.relay}, {"relay4", DHCPv4, c.four}} {
			var names []string
			for _, p := range config.PeersOf(want.family, want.role) {
				names = append(names, p.Name)
			}
			if got := strings.Join(names, " "); got != want.peers {
				t.Errorf("%s: %s hears %q, want %q", c.name, want.role, got, want.peers)
			}
			if played := config.Sections[want.role] != nil; played != (want.peers != "") && want.role != "server6" {
				t.Errorf("%s: %s is played: %v", c.name, want.role, played)
			}
		}
	}
}

// These things are permitted, and are probably mistakes: interfaces that lead to a subnet and
// have neither clients nor a relay, prefixes for clients that are on a link, and prefixes that
// another server may delegate as well.
func TestServer6Warnings(t *testing.T) {
	c, err := servers.Parse("f.yaml", []byte(`
peers:
  - {name: access7, address: 2001:db8:ffff::7, role: relay, interfaces: [eth0], protection: none, heard-by: server6}
  - {name: kea, address: 2001:db8:ffff::547, role: server, interfaces: [eth0], protection: none, delegable: [{prefix: 2001:db8:20c::/46}, {prefix: 2001:db8:4000::/34}]}
relay6: {links: [{match: ppp0}]}
server6:
  links: [{match: "eth1*"}]
  subnets:
    - subnet: 2001:db8:1::/64
      interfaces: [eth11, eth0, "wlan*", eth2, "eth*"]
      pd-pools:
        - {prefix: 2001:db8::/44, delegated-length: 56}
        - {prefix: 2001:db8:100::/44, delegated-length: 56, exclude: 2001:db8:100::/64}
        - {prefix: 2001:db8:200::/44, delegated-length: 56}
    - subnet: 2001:db8:100::/64
`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `f.yaml:10:33: server6.subnets[0].interfaces[2]: "wlan*" is of no entry of links, and no relay is heard there: nobody is served by it
f.yaml:10:42: server6.subnets[0].interfaces[3]: "eth2" is of no entry of links, and no relay is heard there: nobody is served by it
f.yaml:12:20: server6.subnets[0].pd-pools[0].prefix: overlaps the subnet 2001:db8:1::/64 of server6.subnets[0].subnet, on line 9: hosts on that link look for its addresses there, not behind the client that has the prefix (a pool outside of all subnets, or exclude)
f.yaml:14:20: server6.subnets[0].pd-pools[2].prefix: overlaps 2001:db8:20c::/46, which peer "kea" may delegate: a prefix that both give away is routed to one of the two clients alone (a pool that is the server's alone)`
	if got := c.Warnings.Error(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	const missing = `f.yaml:5:26: relay6.links[0].match: no interface is named "ppp0" now: nobody is served there until there is one
f.yaml:10:20: server6.subnets[0].interfaces[0]: no interface is named "eth11" now: nobody is served there until there is one`
	if got := c.Misfits(machine(nil)).Error(); got != missing {
		t.Errorf("%s\nwant %s", got, missing)
	}
}

// The keys in which two files differ are listed by name.
func TestServer6Changed(t *testing.T) {
	old := served(t, allOfServer6)
	for _, c := range []struct{ from, to, want string }{
		{"preference: 7", "preference: 6", "preference subnets"}, // the shared network has its own
		{"t1: 30s", "t1: 20s", "lifetimes subnets"},
		{"server-id: 00:03:00:01:02:00:5e:10:00:09", "server-id: auto", "server-id"},
		{"client: 16", "client: 17", "limits"},
		{"text: CET", "text: CEST", "client-classes"},
		{"preference: 9", "preference: 10", "shared-networks"},
		{"hex: 20010db8000000000000000000000053", "hex: 20010db8000000000000000000000054", "options"},
		{"match: eth1,", "match: eth3,", ""},
	} {
		next := served(t, replaced(t, allOfServer6, c.from, c.to))
		if got := strings.Join(old.Changed(next), " "); got != c.want {
			t.Errorf("%s: %q changed, want %q", c.to, got, c.want)
		}
	}
}

// RFC 8415 21.16a and 21.17a: an option is there once in one place, and the first place that has it counts
// alone (TestPrecedenceOfOptions), so that no client gets two of one enterprise.
func TestVendorOptionsOnce(t *testing.T) {
	for _, code := range []string{"16", "17"} {
		raw := "{code: " + code + ", hex: 0000000100010001ff}"
		text := "server6: {links: [{match: eth1}], subnets: [{subnet: 2001:db8:1::/64, options: {raw: [" + raw + "]}}], options: {raw: [" + raw + "]}}"
		if said := serverProblems(t, text); said != "" {
			t.Errorf("option %s in two places: %s", code, said)
		}
		if said := serverProblems(t, strings.Replace(text, raw, raw+", "+raw, 1)); !strings.Contains(said, "is there already") {
			t.Errorf("option %s twice in one place: %q", code, said)
		}
	}
}

// RFC 8415 21.23b, 21.24a and 21.25a: the keys for these times refuse values that clients ignore.
func TestTimesThatClientsHeed(t *testing.T) {
	for key, bounds := range map[string][4]string{ // the least and the most value, and values outside of these
		"sol-max-rt":               {"60s", "86400s", "59s", "86401s"},
		"inf-max-rt":               {"60s", "86400s", "59s", "86401s"},
		"information-refresh-time": {"600s", "infinity", "599s", "0s"},
	} {
		for i, value := range bounds {
			text := "server6: {links: [{match: eth1}], subnets: [{subnet: 2001:db8:1::/64}], options: {" + key + ": " + value + "}}"
			if said := serverProblems(t, text); (said == "") != (i < 2) {
				t.Errorf("%s: %s: %q", key, value, said)
			}
		}
	}
}

package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

func templateOf(t *testing.T, text string) links.Template {
	t.Helper()
	got, err := links.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// The value of every key reaches its field.
func TestParseEverything(t *testing.T) {
	addr, pfx, port := netip.MustParseAddr, netip.MustParsePrefix, netip.MustParseAddrPort
	link := relay6.LinkRule{
		LinkAddress:     addr("2001:db8:1::1"),
		Trusted:         true,
		AllowLeasequery: true,
		Shared:          true,
		InterfaceID:     templateOf(t, "{index}"),
		RemoteID:        &relay6.RemoteID{EnterpriseNumber: 32473, ID: templateOf(t, "{hostname}")},
		SubscriberID:    templateOf(t, "{link-layer}"),
		AccessNetwork: dhcp6.Options("\x00\x69\x00\x02\x00\x04" + "\x00\x6a\x00\x03Net" + "\x00\x6b\x00\x02ap" +
			"\x00\x6c\x00\x06\x02\x00\x5e\x10\x00\x01" + "\x00\x6d\x00\x04\x00\x00\x01\x02" + "\x00\x6e\x00\x0bexample.com"),
		Delegations: delegation.Policy{
			ClientLimit: 1, LinkLimit: 3, HostLimit: 2, OnLimit: delegation.LimitReplaceUnreachable,
			Move: delegation.MoveDeny, UniqueDUID: true,
			Delegable: []trust.Range{{Prefix: pfx("2001:db8::/32"), Min: 56, Max: 56}},
		},
		Host: hoststate.Policy{
			Filter: hoststate.FilterStrict, Permit: []netip.Prefix{pfx("2001:db8:2::/48"), pfx("2001:db8:3::/48")}, Routed: true,
			Loop: hoststate.LoopReject, Reuse: hoststate.ReuseFixedAddresses, LoopExempt: []netip.Prefix{pfx("2001:db8:9::/48")},
			Table: 10, Metric: 20, Shared: true,
		},
		LoopExemptClient: []dhcp6.DUID{{0, 3, 0, 1, 2, 0, 0x5e, 0x10, 0, 1}},
		Rate: admission.Limits{
			Link:      admission.Rate{PerSecond: 100, Burst: 10},
			Source:    admission.Rate{PerSecond: 20, Burst: 5},
			Newcomers: admission.Rate{PerSecond: 30, Burst: 3},
		},
	}
	matched := link
	matched.Match = []string{"ppp0", "br?"}
	four := relay4.LinkRule{
		GIAddr: addr("192.0.2.1"), Trusted: true, AllowLeasequery: true, HopCount: 16, Secs: 3,
		AgentInformation: relay4.Replace, MaxSize: 1000,
		CircuitID: templateOf(t, "{index}"), RemoteID: templateOf(t, "{hostname}"), SensitiveRemoteID: true, SubscriberID: templateOf(t, "{link-layer}"),
		Ports:         map[string]relay4.Port{"ppp0": {CircuitID: "a", RemoteID: "b", SubscriberID: "c"}},
		AccessNetwork: []byte{13, 2, 0, 3}, LinkSelection: true, ServerIDOverride: true, RelayFlags: true,
		VSS:    &dhcp4.VSS{Type: dhcp4.VSSVPNID, Information: []byte{0, 0, 0x5e, 0, 0, 0, 1}},
		Limits: relay4.LeaseLimits{Client: 1, Link: 3, Host: 2},
		Rate:   link.Rate,
		Host: hoststate.Policy{
			Filter: hoststate.FilterStrict, Permit: []netip.Prefix{pfx("192.0.2.0/24")}, Reuse: hoststate.ReuseNever, Table: 10, Metric: 9,
		},
		HostRoutes: true,
	}
	matched4 := four
	matched4.Match = matched.Match
	uuid := dhcp6.DUID("\x00\x04\x7d\x44\x48\x40\x9d\xc0\x11\xd1\xb2\x45\x5f\xfd\xce\x74\xfa\xd2")
	want := &Config{
		Process: Process{
			Control: Control{
				Socket:    "/run/f.sock",
				Group:     "netops",
				Operators: []Principal{{Name: "alice"}, {Group: true, Name: "noc"}, {ID: 1000}},
				Readers:   []Principal{{Group: true, ID: 1001}},
				Listen: &ControlTLS{
					Address: port("[2001:db8::1]:9548"), Certificate: "/etc/c.pem", Key: "/etc/c.key", ClientCA: "/etc/ca.pem",
				},
			},
			Metrics: Metrics{Listen: port("192.0.2.1:80")},
			Log:     Log{Level: LogDebug, Format: LogJSON, Every: 90 * time.Minute},
			Audit:   Audit{File: "/var/log/fairlead-audit"},
			Peers: []trust.Peer{{
				Name: "a", Address: addr("fe80::547"), Prefix: pfx("fe80::/64"), Zone: "eth0", Local: addr("fe80::1"),
				Role: trust.Server, Interfaces: []string{"eth0"}, HeardBy: "relay6", Protection: trust.ProtectionNone,
				Delegable: []trust.Range{
					{Prefix: pfx("2001:db8::/32"), Min: 48, Max: 64}, {Prefix: pfx("2001:db8:1::/48"), Min: 48, Max: 64},
				},
			}, {
				Name: "four", Address: addr("192.0.2.67"), Prefix: pfx("192.0.2.67/32"),
				Role: trust.Server, Interfaces: []string{"eth0"}, HeardBy: "relay4", Protection: trust.ProtectionNone,
			}},
			Privacy: Privacy{
				Log: IdentifiersHashed, History: IdentifiersShort, Trace: IdentifiersNone, StoreMinimal: true, SaltKept: true,
			},
			IPsec:       IPsec{Socket: "/srv/charon.vici", Remove: true},
			sourcePorts: map[Family]uint16{DHCPv6: 1547, DHCPv4: 1067},
		},
		State:   "/srv/fairlead",
		RelayID: RelayID{Source: RelayIDConfigured, Value: uuid, V4: []byte{1, 2}},
		Sections: map[string]Section{"relay6": &Relay6{
			Forward: peers.First, SourcePort: 1547, Assignment: 65281, Infrastructure: []netip.Prefix{pfx("2001:db8:ffff::/48")},
			Defaults: link, Links: []relay6.LinkRule{matched},
		}, "relay4": &Relay4{
			Forward: peers.First, SourcePort: 1067, Defaults: four, Links: []relay4.LinkRule{matched4},
		}},
		Host: Host{
			Protocol:   88,
			Aggregates: []hoststate.Aggregate{{Table: 100, Prefix: pfx("2001:db8:4000::/34"), Metric: 5}},
		},
		Store:   Store{Reserve: 1073741824},
		History: History{Keep: 24 * time.Hour, Entries: 50000},
		Hook:    Hook{Program: "/bin/true", Timeout: 90 * time.Second, Events: []string{"refused"}, Queue: 1},
	}
	got := parsed(t, allSetText())
	if diff := cmp.Diff(want, got, asWritten); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	core := relay6Of(got).Core(got.Peers, uuid, "edge1")
	wantCore := relay6.Config{
		Peers: want.Peers[:1], Links: relay6Of(want).Links, Forward: peers.First, RelayID: uuid,
		SourcePort: 1547, AssignmentOption: 65281, Infrastructure: relay6Of(want).Infrastructure, Hostname: "edge1",
	}
	if diff := cmp.Diff(wantCore, core, asWritten); diff != "" {
		t.Errorf("core (-want +got)\n%s", diff)
	}
	core4 := relay4Of(got).Core(got.Peers, got.RelayID.InDHCPv4(uuid), "edge1")
	want4 := relay4.Config{
		Peers: want.Peers[1:], Links: []relay4.LinkRule{matched4}, Forward: peers.First, RelayID: []byte{1, 2}, SourcePort: 1067, Hostname: "edge1",
	}
	if diff := cmp.Diff(want4, core4, asWritten); diff != "" {
		t.Errorf("core of relay4 (-want +got)\n%s", diff)
	}
}

// A link starts from the defaults, wherever these stand in the file. What the link says replaces
// them: key by key inside mappings, and lists as a whole.
func TestLinksStartFromDefaults(t *testing.T) {
	c := parsed(t, whole(`relay6:
  links:
    - match: a
    - match: b
      limits: {link: 7}
      permit: []
      remote-id: {id: "{vrf}"}
      access-network: {operator-realm: b.example}
      shared: auto
      interface-id: none
    - match: c
      remote-id: none
      access-network: none
      lease-move: auto
      link-address: auto
      limits: {per-mac: none}
    - match: d
  defaults:
    limits: {client: 5, per-mac: 6}
    permit: [2001:db8:2::/48]
    remote-id: {enterprise: 9, id: "{index}"}
    access-network: {technology: 3, operator-realm: all.example}
    shared: false
    lease-move: probe
    link-address: fd00::1
`))
	type facts struct {
		client, link, host   int
		permit               int
		enterprise           uint32
		remote, realm, iface string
		shared, sharedAuto   bool
		move                 delegation.MovePolicy
		address              bool
	}
	all := facts{5, 4096, 6, 1, 9, "{index}", "all.example", "{interface}", false, false, delegation.MoveProbe, true}
	b := all
	b.link, b.permit, b.remote, b.realm, b.sharedAuto, b.iface = 7, 0, "{vrf}", "b.example", true, ""
	cc := all
	cc.enterprise, cc.remote, cc.realm, cc.move, cc.address, cc.host = 0, "", "", delegation.MoveAuto, false, 0
	for i, want := range []facts{all, b, cc, all} {
		r := relay6Of(c).Links[i]
		got := facts{
			client: r.Delegations.ClientLimit, link: r.Delegations.LinkLimit, host: r.Delegations.HostLimit,
			permit: len(r.Host.Permit), iface: r.InterfaceID.String(), shared: r.Shared, sharedAuto: r.SharedAuto,
			move: r.Delegations.Move, address: r.LinkAddress.IsValid(),
		}
		if r.RemoteID != nil {
			got.enterprise, got.remote = r.RemoteID.EnterpriseNumber, r.RemoteID.ID.String()
		}
		if realm, ok := r.AccessNetwork.First(dhcp6.OptionANIOperatorRealm); ok {
			got.realm = string(realm)
		}
		if got != want {
			t.Errorf("link %s: %+v, want %+v", r.Match[0], got, want)
		}
	}
}

// The same text in three layouts is the same configuration. Addresses keep their colons inside
// braces too.
func TestLayoutsAgree(t *testing.T) {
	block := parsed(t, whole(`relay6:
  links:
    - match: ppp0
      permit:
        - 2001:db8:2::/48
        - ::2:0:0/96
        - fd00::/8
      loop-exempt:
        clients:
          - 00:03:00:01:02:00:5e:10:00:01
`))
	for _, text := range []string{
		`relay6: {links: [{match: ppp0, permit: [2001:db8:2::/48, ::2:0:0/96, fd00::/8], loop-exempt: {clients: [00:03:00:01:02:00:5e:10:00:01]}}]}`,
		`"relay6": {"links": [{"match":"ppp0","permit":["2001:db8:2::/48","::2:0:0/96","fd00::/8"],"loop-exempt":{"clients":["00:03:00:01:02:00:5e:10:00:01"]}}]}`,
		"relay6:\r\n  links:\r\n  - match: 'ppp0'  # a comment\r\n    permit: [2001:db8:2::/48,\r\n      ::2:0:0/96,  fd00::/8 ]\r\n    loop-exempt:\r\n      clients: [00:03:00:01:02:00:5e:10:00:01]\r\n",
	} {
		text = goodPeers + text + "\n"
		if diff := cmp.Diff(block, parsed(t, text), asWritten); diff != "" {
			t.Errorf("%s\n(-block +this)\n%s", text, diff)
		}
	}
}

// A value's String returns the word for it in the file.
func TestWords(t *testing.T) {
	c := parsed(t, allSetText())
	for _, v := range []struct {
		got  fmt.Stringer
		want string
	}{
		{c.Log.Level, "debug"},
		{c.Log.Format, "json"},
		{c.Privacy.Log, "hashed"},
		{c.RelayID.Source, "config"},
		{Default().Log.Level, "info"},
		{Default().Log.Format, "text"},
		{Default().Privacy.Log, "full"},
		{Default().RelayID.Source, "duid"},
	} {
		if v.got.String() != v.want {
			t.Errorf("%T: %q, want %q", v.got, v.got, v.want)
		}
	}
}

func TestOneGlobIsAList(t *testing.T) {
	c := parsed(t, whole("relay6: {links: [{match: \"ppp*\"}, {match: [eth1, br0]}]}\n"))
	want := [][]string{{"ppp*"}, {"eth1", "br0"}}
	got := [][]string{relay6Of(c).Links[0].Match, relay6Of(c).Links[1].Match}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// If there is a relay agent below us, no link with clients is needed.
func TestRelayPeerWithoutLinks(t *testing.T) {
	peers := goodPeers + "  - {name: below, address: 2001:db8::2, role: relay, interfaces: [eth1], protection: none}\n"
	for _, text := range []string{peers, peers + "relay6: {}\n", "relay6: {forward: all}\n" + peers} {
		c := parsed(t, text)
		if len(c.Peers) != 2 || c.Peers[1].Role != trust.Relay || len(relay6Of(c).Links) != 0 {
			t.Errorf("%+v", c)
		}
		if diff := cmp.Diff(defaultRelay6(), relay6Of(c), asWritten); diff != "" {
			t.Errorf("%s (-default +got)\n%s", text, diff)
		}
	}
}

func TestValues(t *testing.T) {
	for _, v := range []struct {
		text  string
		value func(*Config) any
		want  any
	}{
		{"metrics: {listen: off}", func(c *Config) any { return c.Metrics.Listen.IsValid() }, false},
		{"history: {keep: 0}", func(c *Config) any { return c.History.Keep }, time.Duration(0)},
		{"history: {keep: off}", func(c *Config) any { return c.History.Keep }, time.Duration(0)},
		{"history: {keep: 3650d}", func(c *Config) any { return c.History.Keep }, 3650 * 24 * time.Hour},
		{"history: {entries: 1000}", func(c *Config) any { return c.History.Entries }, int64(1000)},
		{"history: {entries: 100000000}", func(c *Config) any { return c.History.Entries }, int64(100000000)},
		{"log: {every: 1m30s500ms}", func(c *Config) any { return c.Log.Every }, 90*time.Second + 500*time.Millisecond},
		{"host: {protocol: 5}", func(c *Config) any { return c.Host.Protocol }, uint8(5)},
		{"host: {protocol: 198}", func(c *Config) any { return c.Host.Protocol }, uint8(198)},
		{"host: {protocol: 255}", func(c *Config) any { return c.Host.Protocol }, uint8(255)},
		{"host: {compare: off}", func(c *Config) any { return c.Host.Compare }, time.Duration(0)},
		{"store: {reserve: 64KiB}", func(c *Config) any { return c.Store.Reserve }, int64(65536)},
		{"store: {reserve: 1024GiB}", func(c *Config) any { return c.Store.Reserve }, int64(1) << 40},
		{"hook: {events: []}", func(c *Config) any { return len(c.Hook.Events) }, 0},
		{"control: {group: 0}", func(c *Config) any { return c.Control.Group }, "0"},
		{"control: {operators: [4294967294]}", func(c *Config) any { return c.Control.Operators[0].ID }, uint32(4294967294)},
		{"relay-id: {source: config, value: \"00020000ab11\"}", func(c *Config) any { return c.RelayID.Value.String() }, "00:02:00:00:ab:11"},
		{
			"host: {aggregates: [{prefix: fd00::/8}]}", func(c *Config) any { return c.Host.Aggregates[0] },
			hoststate.Aggregate{Table: 254, Prefix: netip.MustParsePrefix("fd00::/8"), Metric: 8700},
		},
	} {
		if got := v.value(parsed(t, whole(v.text+"\n"))); got != v.want {
			t.Errorf("%s: %v, want %v", v.text, got, v.want)
		}
	}
}

// RFC 8415 section 19: "If the relay agent has not been explicitly configured, it
// MUST use the All_DHCP_Servers multicast address as the default."
func TestRFC8415_19_DefaultIsAllServers(t *testing.T) {
	c, err := relays.Parse("f.yaml", []byte("peers: [{name: any, role: server, interfaces: [eth0], protection: none}]\nrelay6: {links: [{match: ppp*}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Peers[0]; p.Address != netip.MustParseAddr("ff05::1:3") || p.Zone != "eth0" {
		t.Errorf("peer at %s on %q, want ff05::1:3 on eth0", p.Address, p.Zone)
	}
	_, err = relays.Parse("f.yaml", []byte("peers: [{name: below, role: relay, interfaces: [eth0], protection: none}]\nrelay6: {links: [{match: ppp*}]}\n"))
	if err == nil || !strings.Contains(err.Error(), "a relay without an address") {
		t.Errorf("relay without an address: %v, want refused", err)
	}
}

// Links that could have the same interface-id are warned of, at the interface-id: answers to
// their clients would be dropped.
func TestSameInterfaceID(t *testing.T) {
	for text, want := range map[string]string{
		`{match: "ppp*"}`:                                                      "",
		`{match: "ppp*", interface-id: none}`:                                  "",
		`{match: "ppp*", interface-id: "x-{index}"}`:                           "",
		`{match: ppp0, interface-id: x}`:                                       "",
		`{match: ppp0, interface-id: x}, {match: ppp1, interface-id: y}`:       "",
		`{match: "ppp*", interface-id: "{vrf}"}`:                               `links[0].interface-id: "{vrf}" is the same for all links that match`,
		`{match: [a, b], interface-id: "{hostname}-x"}`:                        `links[0].interface-id: "{hostname}-x" is the same for all links that match`,
		`{match: a, interface-id: x}, {match: b}, {match: c, interface-id: x}`: `links[2].interface-id: "x" is the interface-id of relay6.links[0].interface-id too`,
	} {
		c := parsed(t, whole("relay6: {links: ["+text+"]}\n"))
		var got string
		for _, w := range c.Warnings {
			got += w.String() + "\n"
		}
		if strings.Count(got, "\n") > 1 || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: warned of %q, want %q", text, got, want)
		}
	}
	c := parsed(t, whole("relay6: {defaults: {interface-id: x}, links: [{match: a}, {match: b}]}\n"))
	if len(c.Warnings) != 1 || c.Warnings[0].Path != "relay6.links[1]" || !strings.Contains(c.Warnings[0].Text, "of relay6.links[0] too") {
		t.Errorf("one for all by the defaults: warned of %v", c.Warnings)
	}
}

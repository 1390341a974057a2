package config

import (
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
)

// asWritten compares values of other packages in the form in which a reader sees them.
var asWritten = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.AllowUnexported(Process{}),
	cmpopts.IgnoreFields(Process{}, "mentions"),
	cmpopts.IgnoreFields(Server6{}, "plan"),
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, netip.AddrPort{}),
	cmp.Comparer(func(a, b links.Template) bool { return a.String() == b.String() }),
}

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := relays.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return c
}

// The values in the reference file are the defaults.
func TestReferenceHasTheDefaults(t *testing.T) {
	got := parsed(t, Reference())
	want := relays.Default()
	// These have no default; the file has examples of them.
	want.Peers, relay6Of(want).Links, relay4Of(want).Links = got.Peers, relay6Of(got).Links, relay4Of(got).Links
	if diff := cmp.Diff(want, got, asWritten); diff != "" {
		t.Errorf("defaults of the program and of the file (-program +file)\n%s", diff)
	}

	link := defaultRelay6().Defaults
	link.Match = []string{"ppp*", "br-cust*"}
	if diff := cmp.Diff([]relay6.LinkRule{link}, relay6Of(got).Links, asWritten); diff != "" {
		t.Errorf("links (-want +got)\n%s", diff)
	}
	link4 := defaultRelay4().Defaults
	link4.Match = []string{"br-cust*"}
	if diff := cmp.Diff([]relay4.LinkRule{link4}, relay4Of(got).Links, asWritten); diff != "" {
		t.Errorf("links of relay4 (-want +got)\n%s", diff)
	}
	peer := trust.Peer{
		Name: "kea1", Address: netip.MustParseAddr("2001:db8:ffff::547"), Prefix: netip.MustParsePrefix("2001:db8:ffff::547/128"),
		Role: trust.Server, Interfaces: []string{"eth0"}, HeardBy: "relay6", Protection: trust.ProtectionNone,
	}
	four := peer
	four.HeardBy = "relay4"
	four.Name, four.Address, four.Prefix = "kea4", netip.MustParseAddr("192.0.2.67"), netip.MustParsePrefix("192.0.2.67/32")
	if diff := cmp.Diff([]trust.Peer{peer, four}, got.Peers, asWritten); diff != "" {
		t.Errorf("peers (-want +got)\n%s", diff)
	}
}

// The defaults are those that the documents promise.
func TestDefaults(t *testing.T) {
	c := relays.Default()
	d := relay6Of(c).Defaults
	for _, v := range []struct {
		name      string
		got, want any
	}{
		{"prefixes of a client (RFC 8987 G-7)", d.Delegations.ClientLimit, 8},
		{"prefixes of a link", d.Delegations.LinkLimit, 4096},
		{"prefixes of a host", d.Delegations.HostLimit, delegation.HostLimitAuto},
		{"messages of a link", d.Rate.Link, admission.Rate{PerSecond: 10000, Burst: 10000}},
		{"messages of a source", d.Rate.Source, admission.Rate{PerSecond: 50, Burst: 200}},
		{"messages of newcomers", d.Rate.Newcomers, admission.Rate{PerSecond: 5000, Burst: 5000}},
		{"ingress filter (RFC 8987 R-3)", d.Host.Filter, hoststate.FilterLink},
		{"loop drop (RFC 8987 R-5)", d.Host.Loop, hoststate.LoopDrop},
		{"metric", d.Host.Metric, uint32(8700)},
		{"route protocol", c.Host.Protocol, uint8(87)},
		{"interface-id", d.InterfaceID.String(), "{interface}"},
		{"leasequery from clients", d.AllowLeasequery, false},
		{"relayed messages from clients", d.Trusted, false},
		{"source port", relay6Of(c).SourcePort, uint16(547)},
		{"compare", c.Host.Compare, 60 * time.Second},
		{"history", c.History.Keep, 720 * time.Hour},
		{"entries of the history", c.History.Entries, int64(1000000)},
		{"reserve", c.Store.Reserve, int64(16777216)},
	} {
		if v.got != v.want {
			t.Errorf("%s: %v, want %v", v.name, v.got, v.want)
		}
	}
}

// example matches a key that the reference file shows without setting it: a # with no space after
// it.
var example = regexp.MustCompile(`(?m)^( *)#(\S)`)

// every returns the reference file with its examples set.
func every(t *testing.T) string {
	text := example.ReplaceAllString(Reference(), "$1$2")
	return replaced(t, replaced(t, text, "\n  source: duid\n", "\n  source: config\n"), onFile, "\n") // a value is allowed with config only
}

const onFile = "\n  file: /media/token/relay-id\n"

// everyOnFile returns the same with the relay-id in a file.
func everyOnFile(t *testing.T) string {
	return replaced(t, replaced(t, every(t), "\n  source: config\n", "\n  source: file"+onFile), "\n  value: 7d444840-9dc0-11d1-b245-5ffdce74fad2\n", "\n")
}

// replaced returns a text with one place in it changed.
func replaced(t *testing.T, text, from, to string) string {
	t.Helper()
	if strings.Count(text, from) != 1 {
		t.Fatalf("the reference file has %q %d times, want once", from, strings.Count(text, from))
	}
	return strings.Replace(text, from, to, 1)
}

var index = regexp.MustCompile(`\[[0-9]+\]`)

// visited returns the mappings of a text: the keys that each may have, and the keys that it has.
func visited(t *testing.T, d *decoder, decode func()) (allowed map[string][]string, present map[string]map[string]bool) {
	t.Helper()
	allowed = make(map[string][]string)
	present = make(map[string]map[string]bool)
	d.visit = func(path string, all, found []string) {
		path = index.ReplaceAllString(path, "[]")
		allowed[path] = all
		if present[path] == nil {
			present[path] = make(map[string]bool)
		}
		for _, key := range found {
			present[path][key] = true
		}
	}
	decode()
	if len(d.problems) > 0 {
		t.Fatalf("the reference file with its examples in force:\n%v", d.problems)
	}
	for _, w := range d.warnings {
		if w.Text != replayed {
			t.Errorf("the reference file with its examples in force: %v", w)
		}
	}
	return allowed, present
}

// complete reports keys that a reference file lacks.
func complete(t *testing.T, file string, allowed map[string][]string, present map[string]map[string]bool, want []string) {
	t.Helper()
	for path, keys := range allowed {
		for _, key := range keys {
			if !present[path][key] {
				t.Errorf("%s.%s is not in docs/reference/%s", path, key, file)
			}
		}
	}
	// The mappings that are visited are those that are compared.
	if got := slices.Sorted(maps.Keys(allowed)); !slices.Equal(got, want) {
		t.Errorf("mappings in the reference file (-want +got)\n%s", cmp.Diff(want, got))
	}
}

// Every key that the decoder knows is in the reference file. The decoder knows every key there,
// because it refuses unknown keys.
func TestReferenceIsComplete(t *testing.T) {
	d := withKeys(false)
	allowed, present := visited(t, d, func() {
		d.config([]byte(every(t)), relays)
		other := withKeys(false)
		other.visit = d.visit
		other.config([]byte(everyOnFile(t)), relays)
	})

	// A link may have every key of the defaults. The reference file shows the keys there.
	for _, section := range []string{"relay6", "relay4"} {
		wantLink := append([]string{"match"}, allowed[section+".defaults"]...)
		if got := allowed[section+".links[]"]; !slices.Equal(got, wantLink) {
			t.Errorf("keys of a link of %s: %q, want %q", section, got, wantLink)
		}
		allowed[section+".links[]"] = []string{"match"}
	}

	complete(t, "fairlead.yaml", allowed, present, []string{
		"", "audit", "control", "control.listen", "history", "hook", "host", "host.aggregates[]", "ipsec", "log", "metrics",
		"peers[]", "peers[].delegable[]", "peers[].ike", "peers[].manual", "peers[].manual.in[]", "peers[].manual.out", "privacy", "relay-id",
		"relay4", "relay4.defaults", "relay4.defaults.access-network", "relay4.defaults.limits", "relay4.defaults.ports[]", "relay4.defaults.rate", "relay4.defaults.remote-id", "relay4.defaults.routes", "relay4.links[]", "relay6", "relay6.defaults", "relay6.defaults.access-network",
		"relay6.defaults.limits", "relay6.defaults.loop-exempt", "relay6.defaults.rate", "relay6.defaults.remote-id", "relay6.defaults.routes",
		"relay6.links[]", "store",
	})
}

// Above every key of the reference file there is a comment, or a key of the same block that has a
// comment: nobody has to guess what a key means.
func TestReferenceExplains(t *testing.T) {
	key := regexp.MustCompile(`^ *(?:- )?#?(?:- )?([a-z0-9-]+):`)
	lines := strings.Split(Reference()+Server6Reference()+GuardReference(), "\n")
	for i, line := range lines {
		if !key.MatchString(line) || i == 0 {
			continue
		}
		if strings.TrimSpace(lines[i-1]) == "" {
			t.Errorf("line %d, %q: no comment above it", i+1, line)
		}
	}
	for i, line := range lines {
		if len([]rune(line)) > 80 {
			t.Errorf("line %d has more than 80 characters", i+1)
		}
	}
}

// allSet is a file in which every value differs from the default.
const allSet = `
state: /srv/fairlead
control:
  socket: /run/f.sock
  group: netops
  operators: [alice, "@noc", 1000]
  readers: ["@1001"]
  listen: {address: "[2001:db8::1]:9548", certificate: /etc/c.pem, key: /etc/c.key, client-ca: /etc/ca.pem}
metrics: {listen: 192.0.2.1:80}
log: {level: debug, format: json, every: 1h30m}
audit: {log: /var/log/fairlead-audit}
relay-id: {source: config, value: 7d444840-9dc0-11d1-b245-5ffdce74fad2, v4: 0x0102, required: none}
peers:
  - name: a
    address: fe80::547
    prefix: fe80::/64
    local: fe80::1
    role: server
    interfaces: [eth0]
    protection: none
    delegable: [{prefix: 2001:db8::/32, lengths: 48-64}, {prefix: 2001:db8:1::/48}]
  - {name: four, address: 192.0.2.67, role: server, interfaces: [eth0], protection: none}
relay6:
  forward: first
  source-port: 1547
  reserved-prefixes: [2001:db8:ffff::/48]
  assignment-option: 65281
  defaults: &
  links:
    - &
relay4:
  forward: first
  source-port: 1067
  defaults: &4
  links:
    - &4
host:
  protocol: 88
  aggregates: [{prefix: 2001:db8:4000::/34, table: 100, metric: 5}]
  compare: off
  orphans: off
store: {reserve: 1GiB}
history: {keep: 1d, entries: 50000}
hook: {program: /bin/true, timeout: 90s, events: [refused], queue: 1}
privacy: {log: hashed, history: short, store: minimal, trace: none, crash: full, salt: kept}
ipsec: {vici-socket: /srv/charon.vici, on-stop: remove}
`

const linkSet = `{
      link-address: 2001:db8:1::1, trusted: true, leasequery: true, shared: true, interface-id: "{index}",
      remote-id: {enterprise: 32473, id: "{hostname}"}, subscriber-id: "{link-layer}", relay-id: false,
      client-link-layer: false, access-network: {technology: 4, network-name: Net, access-point-name: ap,
      access-point-bssid: 02:00:5e:10:00:01, operator-id: 258, operator-realm: example.com},
      limits: {client: 1, link: 3, per-mac: 2, on-limit: replace-unreachable},
      reuse: fixed-addresses,
      rate: {link: 100, link-burst: 10, source: 20, source-burst: 5, newcomers: 30}, lease-move: deny, unique-duid: true,
      delegable: [{prefix: 2001:db8::/32, lengths: 56}], filter: strict, permit: [2001:db8:2::/48, 2001:db8:3::/48],
      permit-routed: true,
      loop-drop: reject, loop-exempt: {clients: [00:03:00:01:02:00:5e:10:00:01], destinations: [2001:db8:9::/48]},
      routes: {table: 10, metric: 20} }
`

const link4Set = `{
      giaddr: 192.0.2.1, trusted: true, leasequery: true, hops: 16, secs: 3, agent-information: replace, max-size: 1000,
      circuit-id: "{index}", remote-id: {id: "{hostname}", sensitive: true}, subscriber-id: "{link-layer}",
      ports: [{name: ppp0, circuit-id: a, remote-id: b, subscriber-id: c}], relay-id: false, access-network: {technology: 3},
      link-selection: true, server-id-override: true, relay-flags: true, vss: "0x00005e00000001",
      filter: strict, permit: [192.0.2.0/24], reuse: never, host-routes: true, routes: {table: 10, metric: 9},
      limits: {client: 1, link: 3, per-mac: 2},
      rate: {link: 100, link-burst: 10, source: 20, source-burst: 5, newcomers: 30} }
`

func allSetText() string {
	defaults := strings.ReplaceAll(linkSet, "\n", " ")
	link := strings.Replace(defaults, "{", "{ match: [ppp0, br?],", 1)
	four := strings.ReplaceAll(link4Set, "\n", " ")
	text := strings.Replace(allSet, "defaults: &4", "defaults: "+four, 1)
	text = strings.Replace(text, "- &4", "- "+strings.Replace(four, "{", "{ match: [ppp0, br?],", 1), 1)
	text = strings.Replace(text, "defaults: &", "defaults: "+defaults, 1)
	return strings.Replace(text, "- &", "- "+link, 1)
}

// Every field of the Go structs is filled in by some key.
func TestEveryFieldHasAKey(t *testing.T) {
	got := reflect.ValueOf(*parsed(t, allSetText()))
	unset(t, "Config", got, reflect.ValueOf(*relays.Default()))
	relay := relay6Of(parsed(t, allSetText()))
	unset(t, "Config.Relay6", reflect.ValueOf(*relay), reflect.ValueOf(*defaultRelay6()))
	four := relay4Of(parsed(t, allSetText()))
	unset(t, "Config.Relay4", reflect.ValueOf(*four), reflect.ValueOf(*defaultRelay4()))
}

// unset reports the fields that are the same as in the default.
func unset(t *testing.T, path string, got, def reflect.Value) {
	// The value of another field does not allow these to be set.
	switch path {
	case "Config.RelayID.File", "Config.RelayID.Token": // the source is another one
		return
	case "Config.Warnings", "Config.hops", "Config.mentions", "Config.sourcePorts", "Config.Sections": // they follow from other values
		return
	case "Config.Relay6.Defaults.Borrow", "Config.Relay6.Links[].Borrow", "Config.Relay6.Defaults.Match",
		"Config.Relay4.Defaults.Borrow", "Config.Relay4.Links[].Borrow", "Config.Relay4.Defaults.Match":
		return
	case "Config.Relay6.Defaults.Host.Holders", "Config.Relay6.Links[].Host.Holders": // it follows from the link and its key lease-move
		return
	case "Config.Relay6.Defaults.Host.NoRoutes", "Config.Relay6.Links[].Host.NoRoutes": // only for IPv4
		return
	}
	if strings.HasPrefix(path, "Config.Relay4.") && slices.Contains([]string{"Routed", "Loop", "LoopExempt", "Shared", "Holders", "NoRoutes"}, path[strings.LastIndex(path, ".")+1:]) {
		return // only for IPv6, or it follows from HostRoutes
	}
	_, isText := got.Interface().(interface{ String() string })
	switch {
	case got.Kind() == reflect.Struct && !isText:
		for i := range got.NumField() {
			at := path
			if f := got.Type().Field(i); !f.Anonymous {
				at += "." + f.Name
			}
			unset(t, at, got.Field(i), def.Field(i))
		}
	case got.Kind() == reflect.Slice && got.Type().Elem().Kind() == reflect.Struct && !isText:
		if got.Len() == 0 {
			t.Errorf("%s: empty, though every key is set", path)
			return
		}
		if _, ok := got.Index(0).Interface().(interface{ String() string }); ok {
			return
		}
		none := reflect.Zero(got.Type().Elem())
		if strings.HasSuffix(path, "Links") {
			none = reflect.ValueOf(defaultRelay6().Defaults)
			if strings.HasPrefix(path, "Config.Relay4") {
				none = reflect.ValueOf(defaultRelay4().Defaults)
			}
		}
		first := got.Index(0)
		for i := range first.NumField() {
			name := first.Type().Field(i).Name
			if path == "Config.Control.Operators" || path == "Config.Control.Readers" ||
				path == "Config.Peers" && name == "Assignments" { // it is not allowed with protection: none
				continue
			}
			unset(t, path+"[]."+name, first.Field(i), none.Field(i))
		}
	case reflect.DeepEqual(got.Interface(), def.Interface()):
		t.Errorf("%s: %v, as in the default, though every key is set", path, got)
	}
}

package config

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// config decodes the whole file over the defaults.
func (d *decoder) config(text []byte) *Config {
	c := Default()
	var peers []*stanza
	whole, ok := d.top(text, "peers and relay6 are needed")
	if !ok {
		return nil
	}
	whole.mapping(
		optional("state", read(&c.State, file)),
		optional("control", c.Control.decode),
		optional("metrics", c.Metrics.decode),
		optional("log", c.Log.decode),
		optional("audit", c.Audit.decode),
		optional("relay-id", c.RelayID.decode),
		required("peers", "a list of at least one server", func(v value) {
			peers = decodePeers(v)
			c.Peers = trusted(peers)
		}),
		required("relay6", "a mapping with links, unless a peer has role: relay", func(v value) { c.Relay6.decode(v, c.Peers) }).
			unless(func() bool { return anyRelay(c.Peers) }),
		optional("host", c.Host.decode),
		optional("store", func(v value) {
			v.mapping(optional("reserve", read(&c.Store.Reserve, size(64<<10, 1<<40))))
		}),
		optional("history", func(v value) {
			v.mapping(
				optional("keep", read(&c.History.Keep, orWord("off", 0, duration(0, 3650*day)))),
				optional("entries", read(&c.History.Entries, integer[int64](1000, 1e8))),
			)
		}),
		optional("hook", c.Hook.decode),
		optional("privacy", c.Privacy.decode),
		optional("ipsec", c.IPsec.decode),
	)
	for _, s := range peers {
		if s.peer.Role == trust.Server && c.Relay6.SourcePort != dhcp6.ServerPort {
			s.sourcePort = c.Relay6.SourcePort
		}
		c.hops = append(c.hops, s.hops()...)
	}
	c.Warnings, c.mentions = d.warnings, d.mentions
	return c
}

// top is the only document of a text as a value; ok is false if there is none.
func (d *decoder) top(text []byte, needed string) (whole value, ok bool) {
	node, ok := d.document(text)
	if !ok {
		return value{}, false
	}
	if node == nil {
		d.add(1, 1, "", "nothing in it (%s)", needed)
		return value{}, false
	}
	d.uplinks = make(map[string]string)
	d.keys = make(map[[sha256.Size]byte]string)
	return value{d: d, node: node}, true
}

func (i *IPsec) decode(v value) {
	v.mapping(
		optional("vici-socket", read(&i.Socket, socket)),
		optional("on-stop", read(&i.Remove, oneOf(choice[bool]{"keep", false}, choice[bool]{"remove", true}))),
	)
}

func (c *Control) decode(v value) {
	v.mapping(
		optional("socket", read(&c.Socket, socket)),
		optional("group", func(v value) {
			read(&c.Group, accountName)(v)
			if !isNumber(c.Group) {
				v.mention(mentionGroup, c.Group)
			}
		}),
		optional("operators", readEach(&c.Operators, "users and @groups", principal, mentionPrincipal)),
		optional("readers", readEach(&c.Readers, "users and @groups", principal, mentionPrincipal)),
		optional("listen", func(v value) {
			t := new(ControlTLS)
			v.mapping(
				required("address", "an address and a port", read(&t.Address, listen)),
				required("certificate", "a PEM file", read(&t.Certificate, file)).hidden(),
				required("key", "a PEM file", read(&t.Key, file)).hidden(),
				required("client-ca", "a PEM file of the authority that signs clients", read(&t.ClientCA, file)).hidden(),
			)
			c.Listen = t
		}),
	)
}

func (m *Metrics) decode(v value) {
	v.mapping(optional("listen", read(&m.Listen, orWord("off", netip.AddrPort{}, listen))))
}

func (a *Audit) decode(v value) {
	v.mapping(optional("log", read(&a.File, orWord("journal", "", file))))
}

var account = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31}\$?$`)

// accountName parses the name or the number of a user or a group.
func accountName(text string) (string, error) {
	if !account.MatchString(text) {
		return "", fmt.Errorf("%q is no account (a name of letters, digits, _, . and -, or a number)", text)
	}
	return text, nil
}

// principal parses "user", "@group", or either as a number.
func principal(text string) (Principal, error) {
	name, group := strings.CutPrefix(text, "@")
	if _, err := accountName(name); err != nil {
		return Principal{}, fmt.Errorf("%q is no account (a user, or a group as \"@group\" in quotes, by name or number)", text)
	}
	// 2^32-1 stands for no user in the kernel.
	if id, err := strconv.ParseUint(name, 10, 32); err == nil && id < 1<<32-1 {
		return Principal{Group: group, ID: uint32(id)}, nil
	}
	if isNumber(name) {
		return Principal{}, fmt.Errorf("%q is too great for an account's number", text)
	}
	return Principal{Group: group, Name: name}, nil
}

func mentionPrincipal(v value, p Principal) {
	switch {
	case p.Name == "":
	case p.Group:
		v.mention(mentionGroup, p.Name)
	default:
		v.mention(mentionUser, p.Name)
	}
}

func isNumber(account string) bool { return strings.Trim(account, "0123456789") == "" }

func (l *Log) decode(v value) {
	v.mapping(append(l.fields(), optional("every", read(&l.Every, duration(time.Second, day))))...)
}

func (l *Log) fields() []field {
	return []field{
		optional("level", read(&l.Level, oneOf(
			choice[LogLevel]{"debug", LogDebug}, choice[LogLevel]{"info", LogInfo},
			choice[LogLevel]{"warn", LogWarn}, choice[LogLevel]{"error", LogError}))),
		optional("format", read(&l.Format, oneOf(
			choice[LogFormat]{"text", LogText}, choice[LogFormat]{"json", LogJSON}))),
	}
}

func (r *RelayID) decode(v value) {
	sources := oneOf(choice[RelayIDSource]{"duid", RelayIDMade}, choice[RelayIDSource]{"config", RelayIDConfigured})
	var given value
	v.mapping(
		optional("source", read(&r.Source, notYet(sources, "token"))),
		optional("value", func(v value) {
			given = v
			read(&r.Value, duid)(v)
		}),
		optional("required", func(v value) {
			scalar(v, notYet(oneOf(choice[bool]{"none", false}), "token"))
		}),
	)
	switch {
	case r.Source == RelayIDConfigured && given.node == nil:
		v.part(v.node, v.child("value")).problem("missing (a DUID or a UUID, for source config)")
	case r.Source != RelayIDConfigured && given.node != nil:
		given.problem("a value is of use with source config alone (set source: config, or leave the value out)")
	}
}

// notYet makes a parser that knows words whose meaning a later version brings.
func notYet[T any](parse func(string) (T, error), words ...string) func(string) (T, error) {
	return func(text string) (T, error) {
		got, err := parse(text)
		for _, w := range words {
			if text == w {
				_, allowed, _ := strings.Cut(err.Error(), " (")
				return got, fmt.Errorf("%q is not available in this version (%s", text, allowed)
			}
		}
		return got, err
	}
}

func (h *Host) decode(v value) {
	v.mapping(
		optional("protocol", read(&h.Protocol, protocol)),
		optional("aggregates", func(v value) {
			h.Aggregates = nil
			v.list("mappings with prefix, table and metric", func(v value) {
				r := hoststate.Route{Table: mainTable, Metric: defaultMetric}
				v.mapping(
					required("prefix", "an IPv6 prefix", read(&r.Prefix, pool)),
					optional("table", read(&r.Table, table)),
					optional("metric", read(&r.Metric, metric)),
				)
				h.Aggregates = append(h.Aggregates, r)
			})
		}),
		optional("audit", read(&h.Audit, orWord("off", 0, duration(time.Second, day)))),
		optional("orphans", read(&h.Orphans, orWord("off", 0, duration(time.Second, 30*day)))),
	)
}

// mainTable is the kernel's main routing table.
const mainTable = 254

// protocol parses a route protocol number. Routes of the kernel's numbers and of
// FRR's would be taken for their own by others.
func protocol(text string) (uint8, error) {
	n, err := integer[uint8](0, 255)(text)
	if err != nil || n <= 4 || n == 11 || 186 <= n && n <= 197 {
		return 0, fmt.Errorf("%q (a number from 5 to 255, except 11 and 186 to 197, which are FRR's)", text)
	}
	return n, nil
}

// table parses a routing table's number.
func table(text string) (uint32, error) {
	n, err := integer[uint32](1, 1<<32-1)(text)
	if err == nil && n == 255 {
		return 0, fmt.Errorf("255 is the kernel's table of local addresses (a number from 1 to 4294967295)")
	}
	return n, err
}

var metric = integer[uint32](1, 1<<32-1)

func (h *Hook) decode(v value) {
	kinds := make([]choice[binding.EventKind], 0, 5)
	for k := binding.Granted; k <= binding.Refused; k++ {
		kinds = append(kinds, choice[binding.EventKind]{k.String(), k})
	}
	v.mapping(
		optional("program", func(v value) {
			read(&h.Program, orWord("none", "", file))(v)
			if h.Program != "" {
				v.mention(mentionProgram, h.Program)
			}
		}),
		optional("timeout", read(&h.Timeout, duration(100*time.Millisecond, time.Hour))),
		optional("events", readList(&h.Events, "events", oneOf(kinds...))),
		optional("queue", read(&h.Queue, integer(1, 1<<20))),
	)
}

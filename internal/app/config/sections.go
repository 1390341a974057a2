package config

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// config decodes the whole file, on top of the defaults.
func (d *decoder) config(text []byte, kinds Kinds) *Config {
	c := Default()
	var peers []*stanza
	sound := false // of the peers
	whole, ok := d.top(text, "peers and relay6 are needed")
	if !ok {
		return nil
	}
	whole.Mapping(slices.Concat([]Field{
		Optional("state", Read(&c.State, file)),
		Optional("control", c.Control.decode),
		Optional("metrics", c.Metrics.decode),
		Optional("log", c.Log.decode),
		Optional("audit", c.Audit.decode),
		Optional("relay-id", c.RelayID.decode),
		Required("peers", "a list of at least one server", func(v Value) {
			peers, sound = decodePeers(v, !kinds.alone(whole))
			for _, s := range peers {
				sound = kinds.findHearer(whole, s) && sound
			}
			c.Peers = trusted(peers)
		}).unless(func() bool { return kinds.alone(whole) }),
	}, kinds.sections(whole, c), []Field{
		Optional("host", c.Host.decode),
		Optional("store", func(v Value) {
			v.Mapping(Optional("reserve", Read(&c.Store.Reserve, size(64<<10, 1<<40))))
		}),
		Optional("history", func(v Value) {
			v.Mapping(
				Optional("keep", Read(&c.History.Keep, orWord("off", 0, duration(0, 3650*day)))),
				Optional("entries", Read(&c.History.Entries, integer[int64](1000, 1e8))),
			)
		}),
		Optional("hook", c.Hook.decode),
		Optional("privacy", c.Privacy.decode),
		Optional("ipsec", c.IPsec.decode),
	})...)
	if kinds.imply(c); sound {
		kinds.checkFamilies(whole, c, peers)
	}
	for _, s := range peers {
		if port := c.sourcePorts[familyOf(s.peer.Address)]; s.peer.Role == trust.Server && port != 0 {
			s.sourcePort = port
		}
		c.hops = append(c.hops, s.hops()...)
	}
	d.warnings.sort()
	c.Warnings, c.mentions = d.warnings, d.mentions
	return c
}

// top returns the only document of a text as a value. ok is false if there is none.
func (d *decoder) top(text []byte, needed string) (whole Value, ok bool) {
	node, ok := d.document(text)
	if !ok {
		return Value{}, false
	}
	if node == nil {
		d.add(1, 1, "", "nothing in it (%s)", needed)
		return Value{}, false
	}
	d.uplinks = make(map[string]string)
	d.keys = make(map[[sha256.Size]byte]string)
	return Value{d: d, node: node}, true
}

func (i *IPsec) decode(v Value) {
	v.Mapping(
		Optional("vici-socket", Read(&i.Socket, socket)),
		Optional("on-stop", Read(&i.Remove, oneOf(choice[bool]{"keep", false}, choice[bool]{"remove", true}))),
	)
}

func (c *Control) decode(v Value) {
	v.Mapping(
		Optional("socket", Read(&c.Socket, socket)),
		Optional("group", func(v Value) {
			Read(&c.Group, accountName)(v)
			if !isNumber(c.Group) {
				v.mention(mentionGroup, c.Group)
			}
		}),
		Optional("operators", readEach(&c.Operators, "users and @groups", principal, mentionPrincipal)),
		Optional("readers", readEach(&c.Readers, "users and @groups", principal, mentionPrincipal)),
		Optional("listen", func(v Value) {
			t := new(ControlTLS)
			v.Mapping(
				Required("address", "an address and a port", Read(&t.Address, listen)),
				Required("certificate", "a PEM file", Read(&t.Certificate, file)).hidden(),
				Required("key", "a PEM file", Read(&t.Key, file)).hidden(),
				Required("client-ca", "a PEM file of the authority that signs clients", Read(&t.ClientCA, file)).hidden(),
			)
			c.Listen = t
		}),
	)
}

func (m *Metrics) decode(v Value) {
	v.Mapping(Optional("listen", Read(&m.Listen, orWord("off", netip.AddrPort{}, listen))))
}

func (a *Audit) decode(v Value) {
	v.Mapping(Optional("log", Read(&a.File, orWord("journal", "", file))))
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
	// In the kernel, 2^32-1 stands for no user.
	if id, err := strconv.ParseUint(name, 10, 32); err == nil && id < 1<<32-1 {
		return Principal{Group: group, ID: uint32(id)}, nil
	}
	if isNumber(name) {
		return Principal{}, fmt.Errorf("%q is too great for an account's number", text)
	}
	return Principal{Group: group, Name: name}, nil
}

func mentionPrincipal(v Value, p Principal) {
	switch {
	case p.Name == "":
	case p.Group:
		v.mention(mentionGroup, p.Name)
	default:
		v.mention(mentionUser, p.Name)
	}
}

func isNumber(account string) bool { return strings.Trim(account, "0123456789") == "" }

func (l *Log) decode(v Value) {
	v.Mapping(append(l.fields(), Optional("every", Read(&l.Every, duration(time.Second, day))))...)
}

func (l *Log) fields() []Field {
	return []Field{
		Optional("level", Read(&l.Level, oneOf(
			choice[LogLevel]{"debug", LogDebug}, choice[LogLevel]{"info", LogInfo},
			choice[LogLevel]{"warn", LogWarn}, choice[LogLevel]{"error", LogError}))),
		Optional("format", Read(&l.Format, oneOf(
			choice[LogFormat]{"text", LogText}, choice[LogFormat]{"json", LogJSON}))),
	}
}

func (r *RelayID) decode(v Value) {
	var value, onFile, required Value
	v.Mapping(
		Optional("source", Read(&r.Source, oneOf(choice[RelayIDSource]{"duid", RelayIDMade}, choice[RelayIDSource]{"config", RelayIDConfigured}, choice[RelayIDSource]{"file", RelayIDOnFile}))),
		Optional("value", func(v Value) {
			value = v
			Read(&r.Value, duid)(v)
		}),
		Optional("file", func(v Value) {
			onFile = v
			Read(&r.File, file)(v)
		}),
		Optional("v4", Read(&r.V4, octetString(dhcp4.MaxRelayIDLen))), // any octets (RFC 6925 section 4)
		Optional("required", func(v Value) {
			required = v
			Read(&r.Token, oneOf(choice[bool]{"none", false}, choice[bool]{"token", true}))(v)
		}),
	)
	for _, of := range []struct {
		source RelayIDSource
		key    string
		at     Value
		want   string
	}{{RelayIDConfigured, "value", value, "a DUID or a UUID"}, {RelayIDOnFile, "file", onFile, "a path"}} {
		switch given := of.at.node != nil; {
		case r.Source == of.source && !given:
			v.part(v.node, v.child(of.key)).Problem("missing (%s, for source %s)", of.want, of.source)
		case r.Source != of.source && given:
			of.at.Problem("a %s is of use with source %s alone (set source: %s, or leave the %s out)", of.key, of.source, of.source, of.key)
		}
	}
	if r.Token && r.Source != RelayIDOnFile {
		required.Problem("a token is required, and the relay-id is not on one (source: file, or required: none)")
	}
}

func (h *Host) decode(v Value) {
	v.Mapping(
		Optional("protocol", Read(&h.Protocol, protocol)),
		Optional("aggregates", func(v Value) {
			h.Aggregates = nil
			v.list("mappings with prefix, table and metric", func(v Value) {
				r := hoststate.Aggregate{Table: mainTable, Metric: defaultMetric}
				v.Mapping(
					Required("prefix", "an IPv6 prefix", Read(&r.Prefix, pool)),
					Optional("table", Read(&r.Table, table)),
					Optional("metric", Read(&r.Metric, metric)),
				)
				h.Aggregates = append(h.Aggregates, r)
			})
		}),
		Optional("compare", Read(&h.Compare, orWord("off", 0, duration(time.Second, day)))),
		Optional("orphans", Read(&h.Orphans, orWord("off", 0, duration(time.Second, 30*day)))),
	)
}

// mainTable is the kernel's main routing table.
const mainTable = 254

// protocol parses a route protocol number. It refuses the kernel's numbers and those of FRR:
// these programs would take routes with such a number for their own.
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

func (h *Hook) decode(v Value) {
	var events []choice[string]
	for k := binding.Granted; k <= binding.Refused; k++ {
		events = append(events, choice[string]{k.String(), k.String()})
	}
	events = append(events, choice[string]{effect.NotePool.String(), effect.NotePool.String()})
	v.Mapping(
		Optional("program", func(v Value) {
			Read(&h.Program, orWord("none", "", file))(v)
			if h.Program != "" {
				v.mention(mentionProgram, h.Program)
			}
		}),
		Optional("timeout", Read(&h.Timeout, duration(100*time.Millisecond, time.Hour))),
		Optional("events", ReadList(&h.Events, "events", oneOf(events...))),
		Optional("queue", Read(&h.Queue, integer(1, 1<<20))),
	)
}

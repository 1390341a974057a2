package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

// linkPlace reads the keys that say for which links a rule is, and which address tells the server
// on which link a client is.
type linkPlace struct {
	seen    *matches // nil while the defaults are read, which are for no link
	match   *[]string
	key     string // the key of the address
	address *netip.Addr
	parse   func(string) (netip.Addr, error)
	borrow  *string

	borrowed Value
}

func (p *linkPlace) fields() []Field {
	fields := []Field{
		Optional(p.key, Read(p.address, orWord("auto", netip.Addr{}, p.parse))),
		Optional("unnumbered", func(v Value) {
			p.borrowed = v
			Read(p.borrow, orWord("none", "", interfaceName))(v)
		}),
	}
	if p.seen != nil {
		match := Required("match", "a name, a glob, or a list of them", func(v Value) { p.seen.decode(v, p.match) })
		fields = append([]Field{match}, fields...)
	}
	return fields
}

func (p *linkPlace) check() {
	if p.borrowed.node != nil && *p.borrow != "" && p.address.IsValid() {
		p.borrowed.Problem("an interface to take an address from beside the %s %s (one of the two)", p.key, p.address)
	}
}

// shared has what rules of both relays have, while they are being read.
type shared struct {
	family  Family
	rate    linkRate
	remote  remoteID
	network network
	require bool  // sensitive options must not be left out
	at      Value // where the entry itself says so
}

// remoteID is a remote-id without the part that the family adds.
type remoteID struct {
	id        links.Template
	sensitive bool
}

// remoteID reads a remote-id, with the keys that the family adds.
func (s *shared) remoteID(v Value, more ...Field) {
	fields := append(more,
		Required("id", "a template", Read(&s.remote.id, template)),
		Optional("sensitive", Read(&s.remote.sensitive, truth)),
	)
	if v.isScalar() {
		scalar(v, noneOr("a mapping with "+wanted(fields)))
		s.remote = remoteID{}
		return
	}
	if !s.remote.id.IsEmpty() {
		for i := range fields {
			fields[i].required = "" // the defaults have the other keys
		}
	}
	v.Mapping(fields...)
}

// wanted names, in one text, the keys that a mapping must have.
func wanted(fields []Field) string {
	var names []string
	for _, f := range fields {
		if f.required != "" {
			names = append(names, f.key)
		}
	}
	return strings.Join(names, " and ")
}

// noneOr parses "none", which may stand in the place of a mapping.
func noneOr(mapping string) func(string) (bool, error) {
	return func(text string) (bool, error) {
		if text != "none" {
			return false, fmt.Errorf("%q (none, or %s)", text, mapping)
		}
		return true, nil
	}
}

// sensitive reads what happens to options that a server in clear must not see.
func (s *shared) sensitive(v Value) {
	s.at = v
	Read(&s.require, oneOf(choice[bool]{"omit", false}, choice[bool]{"require", true}))(v)
}

// checkSensitive reports options that the operator requires, but that a server in clear is not
// told (RFC 8213 section 3, "Encryption"). The caller says whether the rule has a subscriber-id
// and a remote-id.
func (s *shared) checkSensitive(v Value, clear []string, subscriber, remote bool) {
	if !s.require || len(clear) == 0 {
		return
	}
	var options []string
	if subscriber {
		options = append(options, "subscriber-id")
	}
	if !s.network.isEmpty() {
		options = append(options, "access-network")
	}
	if remote && s.remote.sensitive {
		options = append(options, "remote-id")
	}
	if len(options) == 0 {
		return
	}
	if s.at.node != nil {
		v = s.at
	}
	v.Problem("%s would be left out towards %s, where protection is none (protection: ipsec there, or sensitive: omit)",
		strings.Join(options, " and "), strings.Join(clear, ", "))
}

// kernelFields returns the keys, which both relays have, for what the kernel does on a link, with
// the modes of the filter. prefix parses a permitted prefix.
func kernelFields(p *hoststate.Policy, prefix func(string) (netip.Prefix, error), filter ...hoststate.FilterMode) []Field {
	modes := make([]choice[hoststate.FilterMode], len(filter))
	for i, mode := range filter {
		modes[i] = choice[hoststate.FilterMode]{mode.String(), mode}
	}
	return []Field{
		Optional("reuse", Read(&p.Reuse, oneOf(
			choice[hoststate.Reuse]{"possible", hoststate.ReusePossible}, choice[hoststate.Reuse]{"fixed-addresses", hoststate.ReuseFixedAddresses},
			choice[hoststate.Reuse]{"never", hoststate.ReuseNever}))),
		Optional("filter", Read(&p.Filter, oneOf(modes...))),
		Optional("permit", ReadList(&p.Permit, "prefixes", prefix)),
		Optional("routes", func(v Value) {
			v.Mapping(
				Optional("table", Read(&p.Table, orWord("auto", 0, table))),
				Optional("metric", Read(&p.Metric, metric)),
			)
		}),
	}
}

// kernelFields6 returns kernelFields for a role of DHCPv6, with what happens to packets that
// would loop.
func kernelFields6(p *hoststate.Policy, loopExempt *[]dhcp6.DUID) []Field {
	return append([]Field{
		Optional("loop-drop", Read(&p.Loop, oneOf(
			choice[hoststate.LoopMode]{"drop", hoststate.LoopDrop}, choice[hoststate.LoopMode]{"reject", hoststate.LoopReject},
			choice[hoststate.LoopMode]{"forward", hoststate.LoopForward}))),
		Optional("loop-exempt", func(v Value) {
			v.Mapping(
				Optional("clients", ReadList(loopExempt, "DUIDs", duid)),
				Optional("destinations", ReadList(&p.LoopExempt, "prefixes", prefix)),
			)
		}),
	}, kernelFields(p, prefix, hoststate.FilterOff, hoststate.FilterLink, hoststate.FilterStrict)...)
}

// defaultPolicy6 is what the kernel does on links of DHCPv6 if the file says nothing.
func defaultPolicy6() hoststate.Policy {
	return hoststate.Policy{Filter: hoststate.FilterLink, Loop: hoststate.LoopDrop, Metric: defaultMetric}
}

// most bounds the limits: a limit of more prefixes than a machine can hold has no effect.
const most = 1 << 24

// holderLimits returns the keys for how many prefixes a client and a host may have.
func holderLimits(client, host *int) []Field {
	return []Field{
		Optional("client", Read(client, integer(1, most))),
		Optional("per-mac", Read(host, orWord("auto", delegation.HostLimitAuto, orWord("none", 0, integer(1, most))))),
	}
}

// limits reads how many prefixes a client, a link and a host may have, with the keys that the
// family adds.
func limits(v Value, client, link, host *int, more ...Field) {
	given := make(map[string]Value)
	bounds := append(holderLimits(client, host), Optional("link", Read(link, integer(1, most))))
	for i := range bounds {
		key, read := bounds[i].key, bounds[i].read
		bounds[i].read = func(v Value) {
			given[key] = v
			read(v)
		}
	}
	v.Mapping(append(bounds, more...)...)
	for _, part := range []struct {
		key   string
		whose string
		limit int
	}{{"client", "client", *client}, {"per-mac", "host", *host}} {
		at, here := given[part.key]
		if !here {
			at, here = given["link"]
		}
		if here && part.limit > *link {
			at.warn(fmt.Sprintf("limits.%s is %d and limits.link %d: the link's limit is met first, and one %s can take all of it", part.key, part.limit, *link, part.whose))
		}
	}
}

// enterprise parses a private enterprise number; 0 is reserved.
var enterprise = integer[uint32](1, 1<<32-1)

// network has the access network identifiers of RFC 7839, each as it is sent; nil: there is none.
type network [6][]byte

// Indices into network: of the first identifier, and of those that may only go with it.
const (
	accessTechnology = 0
	firstName        = 1
	lastName         = 3
)

func (n *network) isEmpty() bool {
	return !slices.ContainsFunc(n[:], func(option []byte) bool { return option != nil })
}

func (n *network) octets() []byte { return slices.Concat(n[:]...) }

// networkCodec encodes the identifiers in the form of one family.
type networkCodec struct {
	technology                                  func(uint8) []byte
	networkName, accessPointName, operatorRealm func(b, name []byte) []byte
	bssid                                       func(b []byte, id [6]byte) []byte
	operatorID                                  func(b []byte, enterprise uint32) []byte
}

var networkCodecs = map[Family]networkCodec{
	DHCPv4: {
		technology:  func(n uint8) []byte { return dhcp4.AppendAccessTechnology(nil, dhcp4.AccessTechnology(n)) },
		networkName: dhcp4.AppendNetworkName, accessPointName: dhcp4.AppendAccessPointName, operatorRealm: dhcp4.AppendOperatorRealm,
		bssid: dhcp4.AppendAccessPointBSSID, operatorID: dhcp4.AppendOperatorID,
	},
	DHCPv6: {
		technology:  func(n uint8) []byte { return dhcp6.AppendANIAccessTechnology(nil, dhcp6.AccessTechnology(n)) },
		networkName: dhcp6.AppendANINetworkName, accessPointName: dhcp6.AppendANIAccessPointName, operatorRealm: dhcp6.AppendANIOperatorRealm,
		bssid: dhcp6.AppendANIAccessPointBSSID, operatorID: dhcp6.AppendANIOperatorID,
	},
}

// accessNetwork reads the options of RFC 7839.
func (s *shared) accessNetwork(v Value) {
	if v.isScalar() {
		scalar(v, noneOr("a mapping with technology and the like"))
		s.network = network{}
		return
	}
	before := len(v.d.problems)
	codec := networkCodecs[s.family]
	ok := v.Mapping(
		Optional("technology", Read(&s.network[accessTechnology], encoded(integer[uint8](1, 255), codec.technology))),
		Optional("network-name", Read(&s.network[1], networkText(codec.networkName))),
		Optional("access-point-name", Read(&s.network[2], networkText(codec.accessPointName))),
		Optional("access-point-bssid", Read(&s.network[3], encoded(bssid, func(id [6]byte) []byte { return codec.bssid(nil, id) }))),
		Optional("operator-id", Read(&s.network[4], encoded(enterprise, func(n uint32) []byte { return codec.operatorID(nil, n) }))),
		Optional("operator-realm", Read(&s.network[5], networkText(codec.operatorRealm))),
	)
	if !ok || len(v.d.problems) > before || s.network[accessTechnology] != nil {
		return
	}
	for i := firstName; i <= lastName; i++ {
		if s.network[i] != nil {
			v.part(v.node, v.child("technology")).Problem("missing (RFC 7839 section 6: network-name and access-point-* go with it)")
			return
		}
	}
}

// encoded returns a parser of an option as it is sent, made of a parser of the option's value.
func encoded[T any](parse func(string) (T, error), encode func(T) []byte) func(string) ([]byte, error) {
	return func(text string) ([]byte, error) {
		got, err := parse(text)
		return encode(got), err
	}
}

// networkText returns a parser of a name of 1 to 255 octets, which DHCPv4 can carry as well.
func networkText(encode func(b, name []byte) []byte) func(text string) ([]byte, error) {
	return func(text string) ([]byte, error) {
		if len(text) > 255 {
			return nil, fmt.Errorf("%d octets long (at most 255)", len(text))
		}
		return encode(nil, []byte(text)), nil
	}
}

func bssid(text string) ([6]byte, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return [6]byte{}, fmt.Errorf("%q is no BSSID (6 octets, such as 02:00:5e:10:00:01)", text)
	}
	return [6]byte(mac), nil
}

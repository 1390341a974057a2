package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// linkEntry is a rule for links in the making. A copy of the defaults is where
// each rule starts, so nothing in it may be written through a pointer.
type linkEntry struct {
	rule    relay6.LinkRule
	rate    linkRate
	remote  relay6.RemoteID
	network [6][]byte // the options 105 to 110 as they are sent; nil: none
	require bool      // sensitive options are not to be left out
	at      Value     // where the entry says so itself
	id      Value     // where it says its interface-id itself
}

// decode reads one entry of links, or the defaults where seen is nil.
func (l *linkEntry) decode(v Value, seen *matches) {
	r := &l.rule
	var borrow Value
	fields := []Field{
		Optional("link-address", Read(&r.LinkAddress, orWord("auto", netip.Addr{}, global))),
		Optional("unnumbered", func(v Value) {
			borrow = v
			Read(&r.Borrow, orWord("none", "", interfaceName))(v)
		}),
		Optional("trusted", Read(&r.Trusted, truth)),
		Optional("leasequery", Read(&r.AllowLeasequery, truth)),
		Optional("shared", l.shared),
		Optional("reuse", Read(&r.Host.Reuse, oneOf(
			choice[hoststate.Reuse]{"possible", hoststate.ReusePossible}, choice[hoststate.Reuse]{"fixed-addresses", hoststate.ReuseFixedAddresses},
			choice[hoststate.Reuse]{"never", hoststate.ReuseNever}))),
		Optional("interface-id", func(v Value) {
			l.id = v
			Read(&r.InterfaceID, orWord("none", links.Template{}, linkTemplate))(v)
		}),
		Optional("remote-id", l.remoteID),
		Optional("subscriber-id", Read(&r.SubscriberID, orWord("none", links.Template{}, template))),
		Optional("relay-id", Read(&r.InsertRelayID, truth)),
		Optional("client-link-layer", Read(&r.InsertLinkLayer, truth)),
		Optional("access-network", l.accessNetwork),
		Optional("sensitive", func(v Value) {
			l.at = v
			Read(&l.require, oneOf(choice[bool]{"omit", false}, choice[bool]{"require", true}))(v)
		}),
		Optional("limits", l.limits),
		Optional("rate", l.rate.decode),
		Optional("lease-move", l.move),
		Optional("unique-duid", Read(&r.Delegations.UniqueDUID, truth)),
		Optional("delegable", func(v Value) { r.Delegations.Delegable = decodeRanges(v) }),
		Optional("filter", Read(&r.Host.Filter, oneOf(
			choice[hoststate.FilterMode]{"off", hoststate.FilterOff}, choice[hoststate.FilterMode]{"link", hoststate.FilterLink},
			choice[hoststate.FilterMode]{"strict", hoststate.FilterStrict}))),
		Optional("permit", ReadList(&r.Host.Permit, "prefixes", prefix)),
		Optional("permit-routed", l.permitRouted),
		Optional("loop-drop", Read(&r.Host.Loop, oneOf(
			choice[hoststate.LoopMode]{"drop", hoststate.LoopDrop}, choice[hoststate.LoopMode]{"reject", hoststate.LoopReject},
			choice[hoststate.LoopMode]{"forward", hoststate.LoopForward}))),
		Optional("loop-exempt", func(v Value) {
			v.Mapping(
				Optional("clients", ReadList(&r.LoopExemptClient, "DUIDs", duid)),
				Optional("destinations", ReadList(&r.Host.LoopExempt, "prefixes", prefix)),
			)
		}),
		Optional("routes", func(v Value) {
			v.Mapping(
				Optional("table", Read(&r.Host.Table, orWord("auto", 0, table))),
				Optional("metric", Read(&r.Host.Metric, metric)),
			)
		}),
	}
	if seen != nil {
		fields = append([]Field{Required("match", "a name, a glob, or a list of them", func(v Value) { seen.decode(v, &r.Match) })}, fields...)
	}
	v.Mapping(fields...)
	if borrow.node != nil && r.Borrow != "" && r.LinkAddress.IsValid() {
		borrow.Problem("an interface to take an address from beside the link-address %s (one of the two)", r.LinkAddress)
	}
}

// finish is the rule that was read.
func (l linkEntry) finish() relay6.LinkRule {
	r := l.rule
	r.Rate = l.rate.limits(r.Trusted)
	r.RemoteID = nil
	if !l.remote.ID.IsEmpty() {
		remote := l.remote
		r.RemoteID = &remote
	}
	r.AccessNetwork = nil
	for _, option := range l.network {
		r.AccessNetwork = append(r.AccessNetwork, option...)
	}
	return r
}

// checkSensitive reports options that the operator requires and that a server in
// clear is not told (RFC 8213 section 3, "Encryption").
func (l *linkEntry) checkSensitive(v Value, clear []string) {
	if !l.require || len(clear) == 0 {
		return
	}
	var options []string
	if !l.rule.SubscriberID.IsEmpty() {
		options = append(options, "subscriber-id")
	}
	if slices.ContainsFunc(l.network[:], func(option []byte) bool { return option != nil }) {
		options = append(options, "access-network")
	}
	if !l.remote.ID.IsEmpty() && l.remote.Sensitive {
		options = append(options, "remote-id")
	}
	if len(options) == 0 {
		return
	}
	if l.at.node != nil {
		v = l.at
	}
	v.Problem("%s would be left out towards %s, where protection is none (protection: ipsec there, or sensitive: omit)",
		strings.Join(options, " and "), strings.Join(clear, ", "))
}

// checkInterfaceID warns of links that could have the same interface-id: to which
// of them an answer belongs nobody could tell (RFC 8415 section 19.2), so that it
// is dropped. Seen are the texts of the entries before, and where they are.
func (l *linkEntry) checkInterfaceID(v Value, seen map[string]string) {
	r := &l.rule
	if r.InterfaceID.IsEmpty() || r.InterfaceID.PerLink() {
		return
	}
	text := r.InterfaceID.String()
	if l.id.node != nil {
		v = l.id
	}
	earlier, again := seen[text]
	if !again {
		seen[text] = v.path
	}
	switch {
	case again:
		v.warn(fmt.Sprintf("%q is the interface-id of %s too: where links have the same, answers to them are dropped (a text of its own, or a template with {interface})", text, earlier))
	case len(r.Match) > 1 || len(r.Match) == 1 && isGlob(r.Match[0]):
		v.warn(fmt.Sprintf("%q is the same for all links that match: where there are several, answers to them are dropped (a template with {interface})", text))
	}
}

// shared reads what the link's own nature decides unless the operator does.
func (l *linkEntry) shared(v Value) {
	r := &l.rule
	if auto, yes, ok := autoOrBool(v); ok {
		r.SharedAuto, r.Shared, r.Host.Shared = auto, yes, yes
	}
}

// permitRouted reads what the key unnumbered decides unless the operator does.
func (l *linkEntry) permitRouted(v Value) {
	if auto, yes, ok := autoOrBool(v); ok {
		l.rule.RoutedAuto, l.rule.Host.Routed = auto, yes
	}
}

func autoOrBool(v Value) (auto, yes, ok bool) {
	got, ok := scalar(v, oneOf(choice[string]{"auto", "auto"}, choice[string]{"true", "true"}, choice[string]{"false", "false"}))
	return got == "auto", got == "true", ok
}

func (l *linkEntry) move(v Value) {
	r := &l.rule
	const auto = delegation.MovePolicy(255)
	got, ok := scalar(v, oneOf(
		choice[delegation.MovePolicy]{"auto", auto}, choice[delegation.MovePolicy]{"follow", delegation.MoveFollow},
		choice[delegation.MovePolicy]{"probe", delegation.MoveProbe}, choice[delegation.MovePolicy]{"deny", delegation.MoveDeny}))
	if !ok {
		return
	}
	if r.MoveAuto = got == auto; r.MoveAuto {
		got = delegation.MoveFollow
	}
	r.Delegations.Move = got
}

// most bounds the limits: more prefixes than a machine can hold are no limit.
const most = 1 << 24

func (l *linkEntry) limits(v Value) {
	p := &l.rule.Delegations
	given := make(map[string]Value)
	keep := func(key string, then func(Value)) Field {
		return Optional(key, func(v Value) {
			given[key] = v
			then(v)
		})
	}
	v.Mapping(
		keep("client", Read(&p.ClientLimit, integer(1, most))),
		keep("link", Read(&p.LinkLimit, integer(1, most))),
		keep("per-mac", Read(&p.HostLimit, orWord("auto", delegation.HostLimitAuto, orWord("none", 0, integer(1, most))))),
		Optional("on-limit", Read(&p.OnLimit, oneOf(
			choice[delegation.LimitPolicy]{"refuse", delegation.LimitRefuse},
			choice[delegation.LimitPolicy]{"replace-unreachable", delegation.LimitReplaceUnreachable}))),
	)
	for _, part := range []struct {
		key   string
		whose string
		limit int
	}{{"client", "client", p.ClientLimit}, {"per-mac", "host", p.HostLimit}} {
		at, here := given[part.key]
		if !here {
			at, here = given["link"]
		}
		if here && part.limit > p.LinkLimit {
			at.warn(fmt.Sprintf("limits.%s is %d and limits.link %d: the link's limit is met first, and one %s can take all of it", part.key, part.limit, p.LinkLimit, part.whose))
		}
	}
}

// linkTemplate parses a template whose text is the same for all clients of a
// link: a Relay-reply finds its link by it (RFC 8415 section 19.2).
func linkTemplate(text string) (links.Template, error) {
	t, err := template(text)
	if err == nil && t.PerClient() {
		return links.Template{}, errors.New("{link-layer} names a client, and an interface-id a link (a template without {link-layer})")
	}
	return t, err
}

func (l *linkEntry) remoteID(v Value) {
	if v.isScalar() {
		scalar(v, noneOr("a mapping with enterprise and id"))
		l.remote = relay6.RemoteID{}
		return
	}
	had := !l.remote.ID.IsEmpty()
	fields := []Field{
		Required("enterprise", "a private enterprise number", Read(&l.remote.EnterpriseNumber, enterprise)),
		Required("id", "a template", Read(&l.remote.ID, template)),
		Optional("sensitive", Read(&l.remote.Sensitive, truth)),
	}
	for i := range fields {
		if had {
			fields[i].required = "" // the defaults have the rest
		}
	}
	v.Mapping(fields...)
}

// noneOr parses "none", which stands where a mapping may.
func noneOr(mapping string) func(string) (bool, error) {
	return func(text string) (bool, error) {
		if text != "none" {
			return false, fmt.Errorf("%q (none, or %s)", text, mapping)
		}
		return true, nil
	}
}

// enterprise is a private enterprise number; 0 is reserved.
var enterprise = integer[uint32](1, 1<<32-1)

// accessNetwork reads the options of RFC 7839.
func (l *linkEntry) accessNetwork(v Value) {
	if v.isScalar() {
		scalar(v, noneOr("a mapping with technology and the like"))
		l.network = [6][]byte{}
		return
	}
	const technology, firstName, lastName = 0, 1, 3
	before := len(v.d.problems)
	ok := v.Mapping(
		Optional("technology", Read(&l.network[technology], accessTechnology)),
		Optional("network-name", Read(&l.network[1], networkText(dhcp6.AppendANINetworkName))),
		Optional("access-point-name", Read(&l.network[2], networkText(dhcp6.AppendANIAccessPointName))),
		Optional("access-point-bssid", Read(&l.network[3], bssid)),
		Optional("operator-id", Read(&l.network[4], operatorID)),
		Optional("operator-realm", Read(&l.network[5], networkText(dhcp6.AppendANIOperatorRealm))),
	)
	if !ok || len(v.d.problems) > before || l.network[technology] != nil {
		return
	}
	for i := firstName; i <= lastName; i++ {
		if l.network[i] != nil {
			v.part(v.node, v.child("technology")).Problem("missing (RFC 7839 section 6: network-name and access-point-* go with it)")
			return
		}
	}
}

// accessTechnology, networkText, bssid and operatorID read the text of one option of
// RFC 7839 and return it as it is sent.

func accessTechnology(text string) ([]byte, error) {
	n, err := integer[uint8](1, 255)(text)
	return dhcp6.AppendANIAccessTechnology(nil, dhcp6.AccessTechnology(n)), err
}

// networkText is a name of 1 to 255 octets, which DHCPv4 can carry as well.
func networkText(encode func(b, name []byte) []byte) func(text string) ([]byte, error) {
	return func(text string) ([]byte, error) {
		if len(text) > 255 {
			return nil, fmt.Errorf("%d octets long (at most 255)", len(text))
		}
		return encode(nil, []byte(text)), nil
	}
}

func bssid(text string) ([]byte, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return nil, fmt.Errorf("%q is no BSSID (6 octets, such as 02:00:5e:10:00:01)", text)
	}
	return dhcp6.AppendANIAccessPointBSSID(nil, [6]byte(mac)), nil
}

func operatorID(text string) ([]byte, error) {
	n, err := enterprise(text)
	return dhcp6.AppendANIOperatorID(nil, n), err
}

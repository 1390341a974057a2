package config

import (
	"errors"
	"fmt"
	"slices"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
)

// link6 is a rule for links of the DHCPv6 relay while it is being read. Each rule starts as a
// copy of the defaults, so nothing in it may be written through a pointer.
type link6 struct {
	shared
	rule       relay6.LinkRule
	enterprise uint32 // the enterprise number of the remote-id
	id         Value  // where the entry itself says its interface-id
}

// decode reads one entry of links, or the defaults if seen is nil.
func (l *link6) decode(v Value, seen *matches) {
	r := &l.rule
	at := linkPlace{seen: seen, match: &r.Match, key: "link-address", address: &r.LinkAddress, parse: global, borrow: &r.Borrow}
	v.Mapping(slices.Concat(at.fields(), []Field{
		Optional("trusted", Read(&r.Trusted, truth)),
		Optional("leasequery", Read(&r.AllowLeasequery, truth)),
		Optional("shared", l.sharedLink),
		Optional("interface-id", func(v Value) {
			l.id = v
			Read(&r.InterfaceID, orWord("none", links.Template{}, linkTemplate))(v)
		}),
		Optional("remote-id", l.remote6),
		Optional("subscriber-id", Read(&r.SubscriberID, orWord("none", links.Template{}, template))),
		Optional("relay-id", Read(&r.InsertRelayID, truth)),
		Optional("client-link-layer", Read(&r.InsertLinkLayer, truth)),
		Optional("access-network", l.accessNetwork),
		Optional("sensitive", l.sensitive),
		Optional("limits", l.limits),
		Optional("rate", l.rate.decode),
		leaseMove(&r.Delegations.Move),
		Optional("unique-duid", Read(&r.Delegations.UniqueDUID, truth)),
		Optional("delegable", func(v Value) { r.Delegations.Delegable = decodeRanges(v) }),
		Optional("permit-routed", l.permitRouted),
	}, kernelFields6(&r.Host, &r.LoopExemptClient))...)
	at.check()
}

// finish returns the rule that was read.
func (l *link6) finish() relay6.LinkRule {
	r := l.rule
	r.Rate = l.rate.limits(r.Trusted)
	r.RemoteID = nil
	if !l.remote.id.IsEmpty() {
		r.RemoteID = &relay6.RemoteID{EnterpriseNumber: l.enterprise, ID: l.remote.id, Sensitive: l.remote.sensitive}
	}
	r.AccessNetwork = l.network.octets()
	return r
}

// checkInterfaceID warns of links that could have the same interface-id. Nobody could tell to
// which of them an answer belongs (RFC 8415 section 19.2), so that it would be dropped. seen has
// the texts of the entries before, and where they stand.
func (l *link6) checkInterfaceID(v Value, seen map[string]string) {
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

// sharedLink reads the key shared. With auto, the type of the link decides.
func (l *link6) sharedLink(v Value) {
	r := &l.rule
	if auto, yes, ok := autoOrBool(v); ok {
		r.SharedAuto, r.Shared, r.Host.Shared = auto, yes, yes
	}
}

// permitRouted reads the key permit-routed. With auto, the key unnumbered decides.
func (l *link6) permitRouted(v Value) {
	if auto, yes, ok := autoOrBool(v); ok {
		l.rule.RoutedAuto, l.rule.Host.Routed = auto, yes
	}
}

func autoOrBool(v Value) (auto, yes, ok bool) {
	got, ok := scalar(v, oneOf(choice[string]{"auto", "auto"}, choice[string]{"true", "true"}, choice[string]{"false", "false"}))
	return got == "auto", got == "true", ok
}

// leaseMove is the key lease-move of a rule.
func leaseMove(into *delegation.MovePolicy) Field {
	var words []choice[delegation.MovePolicy]
	for _, p := range []delegation.MovePolicy{delegation.MoveAuto, delegation.MoveFollow, delegation.MoveProbe, delegation.MoveDeny} {
		words = append(words, choice[delegation.MovePolicy]{p.String(), p})
	}
	return Optional("lease-move", Read(into, oneOf(words...)))
}

func (l *link6) limits(v Value) {
	p := &l.rule.Delegations
	limits(v, &p.ClientLimit, &p.LinkLimit, &p.HostLimit, Optional("on-limit", Read(&p.OnLimit, oneOf(
		choice[delegation.LimitPolicy]{"refuse", delegation.LimitRefuse},
		choice[delegation.LimitPolicy]{"replace-unreachable", delegation.LimitReplaceUnreachable}))))
}

// linkTemplate parses a template that gives the same text for all clients of a link, because a
// Relay-reply finds its link by this text (RFC 8415 section 19.2).
func linkTemplate(text string) (links.Template, error) {
	t, err := template(text)
	if err == nil && t.PerClient() {
		return links.Template{}, errors.New("{link-layer} names a client, and an interface-id a link (a template without {link-layer})")
	}
	return t, err
}

// remote6 reads the remote-id of RFC 4649, which begins with a private enterprise number.
func (l *link6) remote6(v Value) {
	l.remoteID(v, Required("enterprise", "a private enterprise number", Read(&l.enterprise, enterprise)))
}

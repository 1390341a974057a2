package config

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// KeyChange is a key of the file that has another value in another file.
type KeyChange struct{ Key, Old, New string }

// PeerChange says what happens to a peer: "added", "removed" or "changed".
type PeerChange struct{ Peer, Change string }

// PeersChanged returns which peers another file adds, removes or changes, by name. A peer has
// also changed if only its keys have. The values themselves are not shown.
func (p *Process) PeersChanged(to *Process) []PeerChange {
	old, next := p.Peers, to.Peers
	var all []PeerChange
	named := func(peers []trust.Peer, name string) int {
		return slices.IndexFunc(peers, func(p trust.Peer) bool { return p.Name == name })
	}
	for i := range old {
		name := old[i].Name
		switch j := named(next, name); {
		case j < 0:
			all = append(all, PeerChange{name, "removed"})
		case !reflect.DeepEqual(old[i], next[j]) || !reflect.DeepEqual(hopsOf(p.hops, name), hopsOf(to.hops, name)):
			all = append(all, PeerChange{name, "changed"})
		}
	}
	for i := range next {
		if named(old, next[i].Name) < 0 {
			all = append(all, PeerChange{next[i].Name, "added"})
		}
	}
	slices.SortStableFunc(all, func(a, b PeerChange) int { return cmp.Compare(a.Peer, b.Peer) })
	return all
}

func hopsOf(all []hop.Hop, peer string) []hop.Hop {
	return slices.DeleteFunc(slices.Clone(all), func(h hop.Hop) bool { return h.Peer != peer })
}

// SettingsChanged returns the keys of the file whose values differ in next, without peers and
// rules for links.
func (c *Config) SettingsChanged(next *Config) []string {
	var keys []string
	for _, s := range []struct {
		key      string
		old, new any
	}{
		{"state", c.State, next.State},
		{"control", c.Control, next.Control},
		{"metrics", c.Metrics, next.Metrics},
		{"log", c.Log, next.Log},
		{"audit", c.Audit, next.Audit},
		{"relay-id", c.RelayID, next.RelayID},
		{"host", c.Host, next.Host},
		{"store", c.Store, next.Store},
		{"history", c.History, next.History},
		{"hook", c.Hook, next.Hook},
		{"privacy", c.Privacy, next.Privacy},
		{"ipsec", c.IPsec, next.IPsec},
	} {
		if !reflect.DeepEqual(s.old, s.new) {
			keys = append(keys, s.key)
		}
	}
	return append(keys, c.sectionsChanged(next)...)
}

// Rule6Changed returns the keys in which two rules for a link differ.
func Rule6Changed(_ string, old, next *relay6.LinkRule) []KeyChange {
	return textsChanged(rule6Texts(old), rule6Texts(next))
}

// Served6Changed returns the keys in which two rules for a link of the DHCPv6 server differ.
func Served6Changed(_ string, old, next *server6.LinkRule) []KeyChange {
	return textsChanged(served6Texts(old), served6Texts(next))
}

// Rule4Changed returns the keys in which two rules for the link of that name differ, as far as
// they concern that link.
func Rule4Changed(link string, old, next *relay4.LinkRule) []KeyChange {
	return textsChanged(rule4Texts(link, old), rule4Texts(link, next))
}

func textsChanged(was, is []keyText) (changed []KeyChange) {
	for i := range was {
		if was[i] != is[i] {
			changed = append(changed, KeyChange{was[i].key, was[i].text, is[i].text})
		}
	}
	return changed
}

type keyText struct{ key, text string }

// rule6Texts returns the values of a rule as the file writes them, in the order of the reference
// file.
func rule6Texts(r *relay6.LinkRule) []keyText {
	d, h := &r.Delegations, &r.Host
	remote := "none"
	if r.RemoteID != nil {
		remote = fmt.Sprintf("%d %s sensitive %v", r.RemoteID.EnterpriseNumber, r.RemoteID.ID, r.RemoteID.Sensitive)
	}
	var network []string
	for code, payload := range r.AccessNetwork.All() {
		network = append(network, fmt.Sprintf("%d:%s", code, hex.EncodeToString(payload)))
	}
	var delegable []string
	for _, p := range d.Delegable {
		delegable = append(delegable, fmt.Sprintf("%s %d-%d", p.Prefix, p.Min, p.Max))
	}
	return slices.Concat([]keyText{
		{"link-address", orAuto(r.LinkAddress.IsValid(), r.LinkAddress.String())},
		{"unnumbered", cmp.Or(r.Borrow, "none")},
		{"trusted", strconv.FormatBool(r.Trusted)},
		{"leasequery", strconv.FormatBool(r.AllowLeasequery)},
		{"shared", orAuto(!r.SharedAuto, strconv.FormatBool(r.Shared))},
		{"reuse", h.Reuse.String()},
		{"interface-id", cmp.Or(r.InterfaceID.String(), "none")},
		{"remote-id", remote},
		{"subscriber-id", cmp.Or(r.SubscriberID.String(), "none")},
		{"relay-id", strconv.FormatBool(r.InsertRelayID)},
		{"client-link-layer", strconv.FormatBool(r.InsertLinkLayer)},
		{"access-network", cmp.Or(strings.Join(network, ", "), "none")},
	}, slices.Insert(boundTexts(d.ClientLimit, d.LinkLimit, d.HostLimit, &r.Rate), 3, keyText{"limits.on-limit", d.OnLimit.String()}), []keyText{
		{"lease-move", d.Move.String()},
		{"unique-duid", strconv.FormatBool(d.UniqueDUID)},
		{"delegable", cmp.Or(strings.Join(delegable, ", "), "none")},
		{"filter", h.Filter.String()},
		{"permit", listText(h.Permit)},
		{"permit-routed", orAuto(!r.RoutedAuto, strconv.FormatBool(h.Routed))},
		{"loop-drop", h.Loop.String()},
		{"loop-exempt.clients", listText(r.LoopExemptClient)},
		{"loop-exempt.destinations", listText(h.LoopExempt)},
		{"routes.table", tableText(h)},
		{"routes.metric", metricText(h)},
	})
}

// rule4Texts does the same for a rule of the DHCPv4 relay. Of the ports it has only that of the
// link.
func rule4Texts(link string, r *relay4.LinkRule) []keyText {
	port := "none"
	if p, ok := r.Ports[link]; ok {
		port = fmt.Sprintf("circuit-id %q remote-id %q subscriber-id %q", p.CircuitID, p.RemoteID, p.SubscriberID)
	}
	remote := "none"
	if !r.RemoteID.IsEmpty() {
		remote = fmt.Sprintf("%s sensitive %v", r.RemoteID, r.SensitiveRemoteID)
	}
	return slices.Concat([]keyText{
		{"giaddr", orAuto(r.GIAddr.IsValid(), r.GIAddr.String())},
		{"unnumbered", cmp.Or(r.Borrow, "none")},
		{"trusted", strconv.FormatBool(r.Trusted)},
		{"leasequery", strconv.FormatBool(r.AllowLeasequery)},
		{"hops", strconv.Itoa(int(r.HopCount))},
		{"secs", strconv.Itoa(int(r.Secs))},
		{"agent-information", r.AgentInformation.String()},
		{"max-size", orAuto(r.MaxSize != 0, strconv.Itoa(r.MaxSize))},
		{"circuit-id", cmp.Or(r.CircuitID.String(), "none")},
		{"remote-id", remote},
		{"subscriber-id", cmp.Or(r.SubscriberID.String(), "none")},
		{"ports", port},
		{"relay-id", strconv.FormatBool(r.InsertRelayID)},
		{"access-network", cmp.Or(hex.EncodeToString(r.AccessNetwork), "none")},
		{"link-selection", strconv.FormatBool(r.LinkSelection)},
		{"server-id-override", strconv.FormatBool(r.ServerIDOverride)},
		{"relay-flags", strconv.FormatBool(r.RelayFlags)},
		{"vss", vssText(r.VSS)},
	}, boundTexts(r.Limits.Client, r.Limits.Link, r.Limits.Host, &r.Rate), []keyText{
		{"filter", r.Host.Filter.String()},
		{"permit", listText(r.Host.Permit)},
		{"reuse", r.Host.Reuse.String()},
		{"host-routes", strconv.FormatBool(r.HostRoutes)},
		{"routes.table", tableText(&r.Host)},
		{"routes.metric", metricText(&r.Host)},
	})
}

// served6Texts does the same for a rule of the DHCPv6 server.
func served6Texts(r *server6.LinkRule) []keyText {
	return slices.Concat(boundTexts(r.Limits.ClientLimit, r.Limits.LinkLimit, r.Limits.HostLimit, &r.Rate), []keyText{
		{"lease-move", r.Limits.Move.String()},
		{"router", strconv.FormatBool(r.Router)},
		{"filter", r.Host.Filter.String()},
		{"permit", listText(r.Host.Permit)},
		{"reuse", r.Host.Reuse.String()},
		{"loop-drop", r.Host.Loop.String()},
		{"loop-exempt.clients", listText(r.LoopExemptClient)},
		{"loop-exempt.destinations", listText(r.Host.LoopExempt)},
		{"routes.table", tableText(&r.Host)},
		{"routes.metric", metricText(&r.Host)},
	})
}

// boundTexts does the same for limits and rates, which the rules of all roles have.
func boundTexts(client, link, host int, rate *admission.Limits) []keyText {
	return []keyText{
		{"limits.client", strconv.Itoa(client)},
		{"limits.link", strconv.Itoa(link)},
		{"limits.per-mac", orAuto(host != delegation.HostLimitAuto, numberOr("none", host))},
		{"rate.link", rateText(rate.Link)},
		{"rate.source", rateText(rate.Source)},
		{"rate.newcomers", rateText(rate.Newcomers)},
	}
}

func tableText(h *hoststate.Policy) string {
	return orAuto(h.Table != 0, strconv.FormatUint(uint64(h.Table), 10))
}

func metricText(h *hoststate.Policy) string { return strconv.FormatUint(uint64(h.Metric), 10) }

func vssText(v *dhcp4.VSS) string {
	switch {
	case v == nil:
		return "none"
	case v.Type == dhcp4.VSSGlobal:
		return "global"
	case v.Type == dhcp4.VSSVPNID:
		return "0x" + hex.EncodeToString(v.Information)
	}
	return string(v.Information)
}

func orAuto(given bool, text string) string {
	if given {
		return text
	}
	return "auto"
}

func numberOr(word string, n int) string {
	if n == 0 {
		return word
	}
	return strconv.Itoa(n)
}

func rateText(r admission.Rate) string {
	if r == (admission.Rate{}) {
		return "unlimited"
	}
	return fmt.Sprintf("%d burst %d", r.PerSecond, r.Burst)
}

func listText[T fmt.Stringer](all []T) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = v.String()
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}

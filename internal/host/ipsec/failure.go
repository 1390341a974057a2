package ipsec

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/core/hop"
)

// reasons are parts of log lines in which strongSwan 5.9 says why something failed. The lines are
// passed on in strongSwan's own words.
var reasons = []string{
	// The peer's answer: AUTHENTICATION_FAILED, NO_PROPOSAL_CHOSEN, TS_UNACCEPTABLE.
	"notify error", "no CHILD_SA built",
	// The peer's offer.
	"received proposals unacceptable", "no acceptable", "traffic selectors", "peer didn't accept DH group",
	"mode requested by responder", "not using transport mode",
	// The peer's identity.
	"no matching peer config found", "no IKE config found", "but require", "selected peer config",
	// Pre-shared keys.
	"no shared key found", "MAC mismatched",
	// Certificates.
	untrusted, "is not trusted", "no private key found", "signature validation failed", "rejecting certificate", "(myself) failed",
	"unable to verify peer certificate", "constraint check failed",
	// No answer.
	"giving up after", "peer not responding", "unable to resolve", "no route found",
	// This host.
	"in kernel", "from kernel", "installing trap failed", "not supported", "key derivation failed",
}

// untrusted is part of the line with which strongSwan gives up its search for a certificate that
// it can trust.
const untrusted = "no trusted"

// doubts are parts of the lines before that one. Each says why strongSwan does not trust one
// certificate. Without the line with untrusted, another certificate was trusted.
var doubts = []string{"no issuer certificate found", "certificate invalid", "certificate was revoked"}

// unrelated is part of lines that contain a reason and do not report a failure.
var unrelated = []string{"' successful", "selected peer config '", "DPD not supported"}

// has returns a function that reports whether the line contains a part.
func has(line string) func(part string) bool {
	return func(part string) bool { return strings.Contains(line, part) }
}

// tellsWhy reports whether a line says why something failed.
func tellsWhy(line string) bool {
	if strings.HasSuffix(line, "unacceptable") || strings.Contains(line, "unacceptable: ") {
		return true
	}
	return slices.ContainsFunc(reasons, has(line)) && !slices.ContainsFunc(unrelated, has(line))
}

// pair finds the addresses of the two hosts, in lines that strongSwan writes before it knows
// which connection a peer's request is for.
var pair = []*regexp.Regexp{
	regexp.MustCompile(`^looking for peer configs matching ([0-9a-fA-F:.%\w]+)\[.*\]\.\.\.([0-9a-fA-F:.%\w]+)\[`),
	regexp.MustCompile(`^no IKE config found for ([0-9a-fA-F:.%\w]+)\.\.\.([0-9a-fA-F:.%\w]+),`),
	regexp.MustCompile(`^()([0-9a-fA-F:.%\w]+) is initiating an IKE_SA`),
}

// maxTraced bounds the number of SAs of which something is remembered.
const maxTraced = 256

// maxLine bounds the length of a line that is passed on, because peers have influence on it.
const maxLine = 256

// failures finds in strongSwan's log why negotiations of our hops failed. One goroutine uses it.
type failures struct {
	s      *Strongswan
	peers  map[string][]string // by number of an SA that has no name yet: our hops with the SA's peer
	doubts map[string]string   // by number of an SA: the last line that doubts a certificate of its peer
}

func newFailures(s *Strongswan) *failures {
	return &failures{s: s, peers: make(map[string][]string), doubts: make(map[string]string)}
}

func (f *failures) read(m *vici.Message) (all []hop.Event) {
	line, id := text(m, "msg"), text(m, "ikesa-uniqueid")
	found := f.trace(line, id)
	if slices.ContainsFunc(doubts, has(line)) {
		remember(f.doubts, id, cut(line))
		return nil
	}
	if !tellsWhy(line) {
		return nil
	}
	line = cut(line)
	if doubt := f.doubts[id]; doubt != "" && strings.Contains(line, untrusted) {
		line += ": " + doubt
		delete(f.doubts, id)
	}
	name := text(m, "ikesa-name")
	switch {
	case f.s.ours(name):
		found = []string{f.s.hopOf(name)}
		delete(f.peers, id)
	case name != "" && name != "(unnamed)":
		return nil // the connection is another administrator's
	case found == nil:
		found = f.peers[id]
	}
	for _, h := range found {
		all = append(all, hop.Event{Hop: h, Kind: hop.EventFailed, Text: strings.ToValidUTF8(line, "?")})
	}
	return all
}

// trace finds the hops of ours that a line is about, by the addresses in it.
func (f *failures) trace(line, id string) []string {
	for _, p := range pair {
		hosts := p.FindStringSubmatch(line)
		if hosts == nil {
			continue
		}
		local, _ := netip.ParseAddr(hosts[1])
		remote, err := netip.ParseAddr(hosts[2])
		if err != nil {
			return nil
		}
		found := f.s.between(local.WithZone(""), remote.WithZone(""))
		if len(found) > 0 {
			remember(f.peers, id, found)
		}
		return found
	}
	return nil
}

// remember keeps something about an SA, for a bounded number of SAs.
func remember[V any](all map[string]V, id string, v V) {
	if len(all) >= maxTraced {
		clear(all)
	}
	if id != "" {
		all[id] = v
	}
}

func cut(line string) string { return line[:min(len(line), maxLine)] }

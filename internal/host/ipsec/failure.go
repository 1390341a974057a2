package ipsec

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/core/hop"
)

// reasons are parts of the log lines in which strongSwan 5.9 says why something
// did not come about. The lines are passed on in its own words.
var reasons = []string{
	// What the peer answered: AUTHENTICATION_FAILED, NO_PROPOSAL_CHOSEN, TS_UNACCEPTABLE.
	"notify error", "no CHILD_SA built",
	// What the peer offered.
	"received proposals unacceptable", "no acceptable", "traffic selectors", "peer didn't accept DH group",
	"mode requested by responder", "not using transport mode",
	// Who the peer is.
	"no matching peer config found", "no IKE config found", "but require", "selected peer config",
	// Pre-shared keys.
	"no shared key found", "MAC mismatched",
	// Certificates.
	untrusted, "is not trusted", "no private key found", "signature validation failed", "rejecting certificate", "(myself) failed",
	"unable to verify peer certificate", "constraint check failed",
	// Silence.
	"giving up after", "peer not responding", "unable to resolve", "no route found",
	// This host.
	"in kernel", "from kernel", "installing trap failed", "not supported", "key derivation failed",
}

// untrusted is part of the line with which strongSwan ends its search for a
// certificate to believe.
const untrusted = "no trusted"

// doubts are parts of the lines before that one, each of which says why one
// certificate is not to be believed. Without that line another one was.
var doubts = []string{"no issuer certificate found", "certificate invalid", "certificate was revoked"}

// unrelated is part of lines that contain a reason and are none.
var unrelated = []string{"' successful", "selected peer config '", "DPD not supported"}

// has returns whether a line contains a part.
func has(line string) func(part string) bool {
	return func(part string) bool { return strings.Contains(line, part) }
}

// tellsWhy reports whether a line says why something did not come about.
func tellsWhy(line string) bool {
	if strings.HasSuffix(line, "unacceptable") || strings.Contains(line, "unacceptable: ") {
		return true
	}
	return slices.ContainsFunc(reasons, has(line)) && !slices.ContainsFunc(unrelated, has(line))
}

// pair finds the two hosts in the lines that strongSwan writes before it knows
// which connection a peer's request is for.
var pair = []*regexp.Regexp{
	regexp.MustCompile(`^looking for peer configs matching ([0-9a-fA-F:.%\w]+)\[.*\]\.\.\.([0-9a-fA-F:.%\w]+)\[`),
	regexp.MustCompile(`^no IKE config found for ([0-9a-fA-F:.%\w]+)\.\.\.([0-9a-fA-F:.%\w]+),`),
	regexp.MustCompile(`^()([0-9a-fA-F:.%\w]+) is initiating an IKE_SA`),
}

// maxTraced bounds the SAs of which something is remembered.
const maxTraced = 256

// maxLine bounds a line that is passed on, as peers have a say in it.
const maxLine = 256

// failures finds in strongSwan's log why negotiations of our hops failed. For
// one goroutine.
type failures struct {
	s      *Strongswan
	peers  map[string][]string // by number of an SA that has no name yet: our hops with its peer
	doubts map[string]string   // by number of an SA: the last line about a certificate of its peer's
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
		return nil // another administrator's
	case found == nil:
		found = f.peers[id]
	}
	for _, h := range found {
		all = append(all, hop.Event{Hop: h, Kind: hop.EventFailed, Text: strings.ToValidUTF8(line, "?")})
	}
	return all
}

// trace finds which of our hops a line is about by its addresses.
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

// remember keeps something of an SA, of few.
func remember[V any](all map[string]V, id string, v V) {
	if len(all) >= maxTraced {
		clear(all)
	}
	if id != "" {
		all[id] = v
	}
}

func cut(line string) string { return line[:min(len(line), maxLine)] }

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
	"no trusted", "is not trusted", "no issuer certificate found", "certificate invalid", "certificate was revoked",
	"no private key found", "signature validation failed", "rejecting certificate", "(myself) failed",
	"unable to verify peer certificate", "constraint check failed",
	// Silence.
	"giving up after", "peer not responding", "unable to resolve", "no route found",
	// This host.
	"in kernel", "from kernel", "installing trap failed", "not supported", "key derivation failed",
}

// unrelated is part of lines that contain a reason and are none.
var unrelated = []string{"' successful", "selected peer config '", "DPD not supported"}

// tellsWhy reports whether a line says why something did not come about.
func tellsWhy(line string) bool {
	has := func(part string) bool { return strings.Contains(line, part) }
	if strings.HasSuffix(line, "unacceptable") || strings.Contains(line, "unacceptable: ") {
		return true
	}
	return slices.ContainsFunc(reasons, has) && !slices.ContainsFunc(unrelated, has)
}

// pair finds the two hosts in the lines that strongSwan writes before it knows
// which connection a peer's request is for.
var pair = []*regexp.Regexp{
	regexp.MustCompile(`^looking for peer configs matching ([0-9a-fA-F:.%\w]+)\[.*\]\.\.\.([0-9a-fA-F:.%\w]+)\[`),
	regexp.MustCompile(`^no IKE config found for ([0-9a-fA-F:.%\w]+)\.\.\.([0-9a-fA-F:.%\w]+),`),
	regexp.MustCompile(`^()([0-9a-fA-F:.%\w]+) is initiating an IKE_SA`),
}

// maxTraced bounds the SAs without a name whose peer is remembered.
const maxTraced = 256

// maxLine bounds a line that is passed on, as peers have a say in it.
const maxLine = 256

// failures finds in strongSwan's log why negotiations of our hops failed. For
// one goroutine.
type failures struct {
	s     *Strongswan
	peers map[string][]string // by number of an SA that has no name yet: our hops with its peer
}

func newFailures(s *Strongswan) *failures {
	return &failures{s: s, peers: make(map[string][]string)}
}

func (f *failures) read(m *vici.Message) (all []hop.Event) {
	line, id := text(m, "msg"), text(m, "ikesa-uniqueid")
	found := f.trace(line, id)
	if !tellsWhy(line) {
		return nil
	}
	if len(line) > maxLine {
		line = line[:maxLine]
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
		if len(f.peers) >= maxTraced {
			clear(f.peers)
		}
		if id != "" && len(found) > 0 {
			f.peers[id] = found
		}
		return found
	}
	return nil
}

package network

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/core/trust"
)

// silent is how many messages go to a server without any answer before we say that it has never
// answered.
const silent = 8

// Unanswered tells an operator what is wrong with the answers of a peer. A peer without the
// protection that it must have is left out: the status of its protection tells of it.
func Unanswered(p *api.Peer) (words []string) {
	if !p.Protected && p.Protection != trust.ProtectionNone.String() {
		return nil
	}
	if p.Role == trust.Server.String() && !p.Answered && p.SinceAnswer >= silent {
		words = append(words, fmt.Sprintf("peer %s: has never answered, %d messages were sent", p.Name, p.SinceAnswer))
	}
	if !p.SilentSince.IsZero() {
		words = append(words, fmt.Sprintf("peer %s: silent since %s, %d messages without an answer", p.Name, p.SilentSince.Format(time.TimeOnly), p.SinceAnswer))
	}
	if p.Failure != "" {
		words = append(words, fmt.Sprintf("peer %s: cannot be reached: %s", p.Name, p.Failure))
	}
	for _, w := range p.Waiting {
		who := w.LinkLayer // a client that has no address yet
		if w.Source.IsValid() && !w.Source.IsUnspecified() {
			who = w.Source.String()
		}
		words = append(words, fmt.Sprintf("client %s on %s: no answer from peer %s to %d messages in %s", who, w.Link, p.Name, w.Messages, w.For))
	}
	return words
}

// Muted are the servers on this machine whose answers cannot come, and why, in words.
func (n *Network) Muted() (words []string) {
	for _, name := range slices.Sorted(maps.Keys(n.mute)) {
		words = append(words, "peer "+name+": its answers cannot come: "+n.mute[name])
	}
	return words
}

// Absent tells which interfaces the peers, or the rules of a section with these names and globs,
// name although no interface has such a name now. A glob in a rule may match nothing for a while:
// its interfaces come and go.
func (n *Network) Absent(section string, match []string) (words []string) {
	missing := func(pattern string) bool {
		if _, there := n.links[pattern]; there || isName(pattern) {
			return !there
		}
		for name := range n.links {
			if trust.MatchAny([]string{pattern}, name) {
				return false
			}
		}
		return true
	}
	for i := range n.peers {
		p := &n.peers[i]
		gone := matching(p.Interfaces, missing)
		if len(gone) == len(p.Interfaces) && len(gone) > 0 {
			words = append(words, fmt.Sprintf("peer %s: no interface matches %s: nothing is heard from it", p.Name, named(gone)))
		} else if gone = matching(gone, isName); len(gone) > 0 {
			words = append(words, fmt.Sprintf("peer %s: no interface is named %s", p.Name, named(gone)))
		}
	}
	if rules := matching(matching(match, isName), missing); len(rules) > 0 {
		words = append(words, fmt.Sprintf("%s.links: no interface is named %s: nobody is served there", section, named(rules)))
	}
	return words
}

func isName(pattern string) bool { return !strings.ContainsAny(pattern, `*?[\`) }

func matching(all []string, which func(string) bool) (found []string) {
	for _, s := range all {
		if which(s) {
			found = append(found, s)
		}
	}
	return found
}

// maxNamed bounds the names in one line.
const maxNamed = 8

func named(all []string) string {
	if n := len(all) - maxNamed; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:maxNamed], ", "), n)
	}
	return strings.Join(all, ", ")
}

package relay

import (
	"fmt"
	"strings"

	"fairlead/internal/app/config"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
)

// absent is what the configuration names and no interface has as its name now, in
// words. A glob of a rule may match nothing for a while: its interfaces come and go.
func absent(cfg *config.Config, known map[string]links.Link) (words []string) {
	missing := func(pattern string) bool {
		if _, there := known[pattern]; there || isName(pattern) {
			return !there
		}
		for name := range known {
			if trust.MatchAny([]string{pattern}, name) {
				return false
			}
		}
		return true
	}
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		gone := matching(p.Interfaces, missing)
		if len(gone) == len(p.Interfaces) && len(gone) > 0 {
			words = append(words, fmt.Sprintf("peer %s: no interface matches %s: nothing is heard from it", p.Name, named(gone)))
		} else if gone = matching(gone, isName); len(gone) > 0 {
			words = append(words, fmt.Sprintf("peer %s: no interface is named %s", p.Name, named(gone)))
		}
	}
	var rules []string
	for i := range section(cfg).Links {
		rules = append(rules, matching(matching(section(cfg).Links[i].Match, isName), missing)...)
	}
	if len(rules) > 0 {
		words = append(words, fmt.Sprintf("links: no interface is named %s: nobody is served there", named(rules)))
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

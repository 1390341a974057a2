package protect

import (
	"strings"

	"fairlead/internal/core/hop"
)

// Degraded tells an operator what does not work as it should.
func Degraded(states []hop.State) []string {
	words := []string{}
	for i := range states {
		s := &states[i]
		if !s.Protected {
			words = append(words, "peer "+s.Peer+": not protected, nothing passes: "+s.Problem)
		}
		for _, w := range s.Warnings {
			if w == hop.WarnAge || strings.HasPrefix(w, hop.WarnBlockPolicies) || strings.HasPrefix(w, hop.WarnIKE) {
				words = append(words, "peer "+s.Peer+": "+w)
			}
		}
	}
	return words
}

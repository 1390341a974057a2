package links

import (
	"maps"
	"slices"
)

// Gone remembers a value, such as counters, for each link that vanished, in case it
// returns. It has the newest maxGone names.
type Gone[T any] struct {
	byName map[string]T
	names  []string // oldest first
}

const maxGone = 4096

// Add remembers the value of a link that vanished.
func (g *Gone[T]) Add(name string, t T) {
	if g.byName == nil {
		g.byName = make(map[string]T)
	}
	if len(g.names) == maxGone {
		delete(g.byName, g.names[0])
		g.names = slices.Delete(g.names, 0, 1)
	}
	g.byName[name] = t
	g.names = append(g.names, name)
}

// Take returns, and forgets, the value of a link that is back.
func (g *Gone[T]) Take(name string) (t T) {
	t, ok := g.byName[name]
	if ok {
		delete(g.byName, name)
		g.names = slices.DeleteFunc(g.names, func(n string) bool { return n == name })
	}
	return t
}

// Succeed takes over what another core remembers, and the values of the links that it has: a
// successor finds each link as if it had been away.
func (g *Gone[T]) Succeed(old *Gone[T], names []string, value func(name string) T) {
	g.byName, g.names = maps.Clone(old.byName), slices.Clone(old.names)
	for _, name := range names {
		g.Add(name, value(name))
	}
}

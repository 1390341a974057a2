package ledger

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/hoststate"
)

// Covering tells the wanted state of the kernel which parts of a delegation its client does not
// get: parts that a server excludes (RFC 6603), and prefixes of interfaces. It belongs to a core
// and to its goroutine.
type Covering struct {
	table  *binding.Table
	host   *hoststate.State
	parts  Parts
	byLink map[string]map[netip.Prefix]struct{} // the delegations with such parts, by the names of their links
}

// Parts are what a Covering asks its core.
type Parts struct {
	// Overlaps reports whether a prefix overlaps with a prefix of an interface. Within yields
	// the prefixes of interfaces that lie in a prefix or are equal to it. Both are nil if there
	// are no such prefixes.
	Overlaps func(vrf string, p netip.Prefix) bool
	Within   func(vrf string, p netip.Prefix) iter.Seq[netip.Prefix]
}

// NewCovering is a Covering that knows no delegation yet.
func NewCovering(table *binding.Table, host *hoststate.State, parts Parts) *Covering {
	return &Covering{table, host, parts, make(map[string]map[netip.Prefix]struct{})}
}

// has reports whether a delegation has parts that its client does not get.
func (c *Covering) has(d *binding.Binding) bool {
	return d.Kind == binding.Prefix && (d.Exclude.IsValid() || c.parts.Overlaps != nil && c.parts.Overlaps(d.VRF, d.Prefix))
}

// Note records that a delegation on a link may have such parts, or may have had some.
func (c *Covering) Note(link string, p netip.Prefix) {
	if c.byLink[link] == nil {
		c.byLink[link] = make(map[netip.Prefix]struct{})
	}
	c.byLink[link][p] = struct{}{}
}

// Restored calls Note for a restored delegation that has such parts.
func (c *Covering) Restored(d *binding.Binding) {
	if c.has(d) {
		c.Note(d.Link, d.Prefix)
	}
}

// Cover appends the operations for such parts of a delegation that was granted, changed or ended.
func (c *Covering) Cover(ops []hoststate.Op, d *binding.Binding) []hoststate.Op {
	c.Restored(d)
	if _, noted := c.byLink[d.Link][d.Prefix]; !noted {
		return ops
	}
	return c.Update(ops, d.Link)
}

// Update appends the same for all delegations of a link.
func (c *Covering) Update(ops []hoststate.Op, link string) []hoststate.Op {
	var covered []hoststate.Covered
	for p := range c.byLink[link] {
		found := false
		for vrf := range c.table.VRFs() {
			d, ok := c.table.Lookup(vrf, p)
			if !ok || d.Link != link || c.host.IsElsewhere(link, vrf) {
				continue
			}
			covered = c.append(covered, &d)
			found = true
		}
		if !found {
			delete(c.byLink[link], p)
		}
	}
	if len(c.byLink[link]) == 0 {
		delete(c.byLink, link)
	}
	return c.host.SetCovered(ops, link, covered)
}

func (c *Covering) append(covered []hoststate.Covered, d *binding.Binding) []hoststate.Covered {
	if d.Exclude.IsValid() {
		covered = append(covered, hoststate.Covered{Prefix: d.Exclude})
	}
	if c.parts.Within == nil {
		return covered
	}
	for p := range c.parts.Within(d.VRF, d.Prefix) {
		if p != d.Prefix {
			covered = append(covered, hoststate.Covered{Prefix: p, Reserved: true})
		}
	}
	return covered
}

// Links are the names of the links with such delegations, in order.
func (c *Covering) Links() []string { return slices.Sorted(maps.Keys(c.byLink)) }

// rename moves what is known of a link to another name.
func (c *Covering) rename(old, name string) {
	for p := range c.byLink[old] {
		c.Note(name, p)
	}
	delete(c.byLink, old)
}

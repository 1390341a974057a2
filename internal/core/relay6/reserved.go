package relay6

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
)

// reserved is what no client may be given: the prefixes of interfaces, by VRF; the addresses of
// peers, and ours towards them; and the prefixes of the infrastructure.
type reserved struct {
	spaces         map[string]*bart.Table[[]*link]
	infrastructure bart.Lite
	peers          bart.Lite
}

// stake is a prefix that is reserved for a link.
type stake struct {
	vrf    string
	prefix netip.Prefix
}

func (s *reserved) reset() { s.spaces = make(map[string]*bart.Table[[]*link]) }

func (s *reserved) configure(cfg *Config) {
	s.infrastructure, s.peers = bart.Lite{}, bart.Lite{}
	for _, p := range cfg.Infrastructure {
		s.infrastructure.Insert(p)
	}
	for i := range cfg.Peers {
		for _, a := range []netip.Addr{cfg.Peers[i].Address, cfg.Peers[i].Local} {
			if a.IsValid() && !a.IsMulticast() && !a.IsLinkLocalUnicast() {
				s.peers.Insert(netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
}

func (s *reserved) add(at stake, l *link) {
	t := s.spaces[at.vrf]
	if t == nil {
		t = new(bart.Table[[]*link])
		s.spaces[at.vrf] = t
	}
	owners, _ := t.Get(at.prefix)
	t.Insert(at.prefix, append(slices.Clip(owners), l))
}

func (s *reserved) remove(at stake, l *link) {
	t := s.spaces[at.vrf]
	owners, _ := t.Get(at.prefix)
	if left := slices.DeleteFunc(slices.Clone(owners), func(o *link) bool { return o == l }); len(left) > 0 {
		t.Insert(at.prefix, left)
	} else {
		t.Delete(at.prefix)
	}
}

// owned is a reserved prefix, and the link that it is reserved for.
type owned struct {
	of     *link
	prefix netip.Prefix
}

// around are the reserved prefixes that equal or contain p; within are those that equal p or lie
// in it.
func (s *reserved) around(vrf string, p netip.Prefix) []owned {
	return s.find(vrf, p, (*bart.Table[[]*link]).Supernets)
}

func (s *reserved) within(vrf string, p netip.Prefix) []owned {
	return s.find(vrf, p, (*bart.Table[[]*link]).Subnets)
}

// prefixes are those of interfaces that lie in p or are p.
func (s *reserved) prefixes(vrf string, p netip.Prefix) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		if t := s.spaces[vrf]; t != nil {
			for at := range t.Subnets(p) {
				if !yield(at) {
					return
				}
			}
		}
	}
}

func (s *reserved) find(vrf string, p netip.Prefix, look func(*bart.Table[[]*link], netip.Prefix) iter.Seq2[netip.Prefix, []*link]) (found []owned) {
	t := s.spaces[vrf]
	if t == nil {
		return nil
	}
	for at, owners := range look(t, p) {
		for _, l := range owners {
			found = append(found, owned{l, at})
		}
	}
	return found
}

// overlaps reports whether p overlaps with a prefix of any interface.
func (s *reserved) overlaps(vrf string, p netip.Prefix) bool {
	t := s.spaces[vrf]
	return t != nil && t.OverlapsPrefix(p)
}

// obstacle is the reserved prefix that stands in the way of a grant, with its owner in words.
type obstacle struct {
	of     string
	prefix netip.Prefix
}

// obstacleTo is the obstacle to a grant. A grant may cover the prefixes of other links with
// clients if the configuration bounds what may be delegated, and a prefix of its own link
// where the server excludes that prefix from the grant (RFC 6603). It may also cover a prefix
// of an interface that is gone, or a prefix that was just removed from a link: such a prefix
// is reserved for a short time only, and the client does not get its traffic.
func (r *Relay) obstacleTo(g *delegation.Grant) (obstacle, bool) {
	s := &r.reserved
	if s.infrastructure.OverlapsPrefix(g.Prefix) {
		return first(&s.infrastructure, g.Prefix, "the infrastructure"), true
	}
	if s.peers.OverlapsPrefix(g.Prefix) {
		return first(&s.peers, g.Prefix, "a peer, or of ours towards it"), true
	}
	if !s.overlaps(g.VRF, g.Prefix) {
		return obstacle{}, false
	}
	t := s.spaces[g.VRF]
	for p, owners := range t.Supernets(g.Prefix) {
		return obstacle{owners[0].Name, p}, true
	}
	for p, owners := range t.Subnets(g.Prefix) {
		for _, l := range owners {
			own := l.Name == g.Link
			if own && g.Exclude.IsValid() && g.Exclude.Bits() <= p.Bits() && g.Exclude.Contains(p.Addr()) ||
				!own && l.rule != nil && r.within || r.hasLeft(l, p) {
				continue
			}
			return obstacle{l.Name, p}, true
		}
	}
	return obstacle{}, false
}

// first is an obstacle: a prefix of the set that overlaps with p.
func first(set *bart.Lite, p netip.Prefix, of string) obstacle {
	for at := range set.Supernets(p) {
		return obstacle{of, at}
	}
	for at := range set.Subnets(p) {
		return obstacle{of, at}
	}
	return obstacle{of, p}
}

// reservedFor is Terms.Reserved, under the bounds of the configuration that is being judged.
func (r *Relay) reservedFor(g *delegation.Grant) bool {
	_, found := r.obstacleTo(g)
	return found
}

// explain writes into the event of a refused grant which reserved prefix stood in its way, if one
// did.
func (r *Relay) explain(e *binding.Event) {
	if e.Reason != binding.NotDelegable {
		return
	}
	d := &e.New
	g := delegation.Grant{Link: d.Link, VRF: d.VRF, Prefix: d.Prefix, Kind: d.Kind, Exclude: d.Exclude}
	if o, found := r.obstacleTo(&g); found {
		relation := "inside "
		if o.prefix.Bits() > d.Prefix.Bits() {
			relation = "covers "
		} else if o.prefix.Bits() == d.Prefix.Bits() {
			relation = "equals "
		}
		e.Detail = relation + o.prefix.String() + " of " + o.of
	}
}

// stake reserves these prefixes for a link, in place of those that it had.
func (r *Relay) stake(ops []hoststate.Op, l *link, prefixes []netip.Prefix) []hoststate.Op {
	var now []stake
	for _, p := range prefixes {
		now = append(now, stake{l.VRF, p})
	}
	before := l.stakes
	l.stakes = now
	if keep := l.lasting(); !slices.Equal(keep, l.kept) {
		l.kept = keep
		r.ledger.LackRecord(LinkKey(l.Name))
	}
	if slices.Equal(before, now) {
		return ops
	}
	for _, at := range before {
		r.reserved.remove(at, l)
	}
	for _, at := range now {
		r.reserved.add(at, l)
	}
	// The delegations around these prefixes may now cover one prefix more, or one less.
	links := make(map[string]struct{})
	for _, at := range slices.Concat(before, now) {
		for s := range r.table.Covering(at.vrf, at.prefix) {
			link := r.table.Link(s)
			r.covering.Note(link, s.Prefix())
			links[link] = struct{}{}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		ops = r.covering.Update(ops, name)
	}
	return ops
}

// lasting are the stakes that stay reserved when the link's interface has gone.
func (l *link) lasting() []stake {
	if l.rule == nil {
		return nil
	}
	return l.stakes
}

package hoststate

import (
	"net/netip"

	"fairlead/internal/wire/linkaddr"
)

// Reading is what was read back from the kernel, in a form that is small and
// quick to look things up in; see NewReading. It stands for itself: who fills it
// needs no State.
type Reading struct {
	names    names
	elements map[element]bool // true: a comparison has come by; nil: they are known to be as wanted
	routes   map[routeID]reached
	more     map[routeID][]reached // of which there are several
}

// HasElements reports whether elements were read, and not only routes.
func (r *Reading) HasElements() bool { return r.elements != nil }

// names numbers interface names.
type names struct {
	ids   map[string]uint32
	texts []string
	last  uint32 // that was asked for: most come in a row
}

func (n *names) id(name string) uint32 {
	if int(n.last) < len(n.texts) && n.texts[n.last] == name {
		return n.last
	}
	n.last = n.find(name)
	return n.last
}

func (n *names) find(name string) uint32 {
	id, ok := n.ids[name]
	if !ok {
		if n.ids == nil {
			n.ids = map[string]uint32{}
		}
		id = uint32(len(n.texts))
		n.ids[name] = id
		n.texts = append(n.texts, name)
	}
	return id
}

// element is an Element with a number for its link, without pointers.
type element struct {
	link      uint32
	set       Set
	linkLayer linkaddr.Addr
	prefix    packed
	whole     bool // it has a prefix
}

func (n *names) pack(e Element) element {
	return element{n.id(e.Link), e.Set, e.LinkLayer, pack(e.Prefix), e.Prefix.IsValid()}
}

func (n *names) unpack(e element) Element {
	p := netip.Prefix{}
	if e.whole {
		p = e.prefix.prefix()
	}
	return Element{Set: e.set, Link: n.texts[e.link], LinkLayer: e.linkLayer, Prefix: p}
}

// reached is the value of a route.
type reached struct {
	link    int32
	gateway nextHop
	seen    bool // a comparison has come by
}

func (r reached) route(id routeID) Route {
	return Route{Table: id.table, Prefix: id.prefix.prefix(), Metric: id.metric, Link: int(r.link), Gateway: r.gateway.addr()}
}

// NewReading has read nothing yet.
func NewReading() *Reading {
	return &Reading{elements: map[element]bool{}, routes: map[routeID]reached{}, more: map[routeID][]reached{}}
}

// OfRoutes makes a Reading of what was read whole, of a kernel whose elements are
// known to be what is wanted, or was before a comparison began: they were neither
// read nor are they compared.
func OfRoutes(routes []Route) *Reading {
	r := Read(Actual{Routes: routes})
	r.elements = nil
	return r
}

// AddElement takes in one element. Once more is no harm. A Reading OfRoutes takes
// none.
func (r *Reading) AddElement(e Element) {
	r.elements[r.names.pack(e)] = false
}

// AddRoute takes in one route. The kernel may have several of one identity.
func (r *Reading) AddRoute(x Route) {
	id, v := x.id(), reached{link: int32(x.Link), gateway: packNextHop(x.Gateway)}
	if _, several := r.routes[id]; several {
		r.more[id] = append(r.more[id], v)
		return
	}
	r.routes[id] = v
}

// Read makes a Reading of what was read whole.
func Read(a Actual) *Reading {
	r := NewReading()
	for _, e := range a.Elements {
		r.AddElement(e)
	}
	for _, x := range a.Routes {
		r.AddRoute(x)
	}
	return r
}

package hop

import "net/netip"

// view is a Seen with indexes, so that each of many hops finds its own part at once. It
// points into the Seen.
type view struct {
	*Seen
	loaded   map[string]bool // hops whose connections strongSwan has
	ike      map[string][]*IKESA
	states   map[arrival]*XfrmState
	demanded map[XfrmPolicy]uint32 // selectors of the policies that require ESP, and their priorities
	passing  []XfrmPolicy          // policies that let traffic pass in clear
	rejected map[flow]rejection
}

// arrival is the receiving end of an SA, of which the kernel has one for each (RFC 4301
// section 4.1).
type arrival struct {
	dest netip.Addr
	spi  uint32
}

// flow is a pair of hosts, one way.
type flow struct{ source, dest netip.Addr }

// rejection is how many packets the kernel rejected, and why.
type rejection struct{ forged, replayed uint64 }

func newView(seen *Seen) *view {
	v := &view{Seen: seen}
	if c := seen.Charon; c != nil {
		v.loaded, v.ike = make(map[string]bool, len(c.Connections)), make(map[string][]*IKESA, len(c.IKE))
		for _, name := range c.Connections {
			v.loaded[name] = true
		}
		for i := range c.IKE {
			name := c.IKE[i].Hop
			v.ike[name] = append(v.ike[name], &c.IKE[i])
		}
	}
	if seen.Kernel != nil {
		v.sortKernel(seen.Kernel)
	}
	return v
}

func (v *view) sortKernel(k *Kernel) {
	v.states = make(map[arrival]*XfrmState, len(k.States))
	v.rejected = make(map[flow]rejection, len(k.States))
	for i := range k.States {
		s := &k.States[i]
		v.states[arrival{s.Dest, s.SPI}] = s
		way := flow{s.Source, s.Dest}
		r := v.rejected[way]
		v.rejected[way] = rejection{r.forged + s.AuthErrors, r.replayed + s.ReplayErrors}
	}
	v.demanded = make(map[XfrmPolicy]uint32, len(k.Policies))
	for _, p := range k.Policies {
		switch {
		case p.ESP:
			v.demanded[p.selector()] = p.Priority
		case !p.Stops:
			v.passing = append(v.passing, p)
		}
	}
}

// selector is the part of a policy that selects packets.
func (p XfrmPolicy) selector() XfrmPolicy {
	p.Priority, p.Reqid, p.ESP, p.Stops = 0, 0, false, false
	return p
}

// both are the selectors of a hop's traffic, out and in.
func (h *Hop) both(s Selector) [2]XfrmPolicy {
	local, remote := host(h.Local), host(h.Remote)
	return [2]XfrmPolicy{
		{Out: true, Source: local, Dest: remote, Protocol: s.Protocol, SourcePort: s.Local, DestPort: s.Remote},
		{Source: remote, Dest: local, Protocol: s.Protocol, SourcePort: s.Remote, DestPort: s.Local},
	}
}

// requires reports whether there is a policy that asks for ESP for just the traffic
// of a selector, both ways.
func (v *view) requires(h *Hop, s Selector) bool {
	for _, p := range h.both(s) {
		if _, ok := v.demanded[p]; !ok {
			return false
		}
	}
	return true
}

// passes reports whether for some of the traffic of a selector the kernel uses another
// program's policy without ESP, although there is one with ESP.
func (v *view) passes(h *Hop, s Selector) bool {
	for _, p := range h.both(s) {
		for i := range v.passing {
			if other := &v.passing[i]; other.covers(&p) && other.Priority <= v.demanded[p] {
				return true
			}
		}
	}
	return false
}

// covers reports whether a policy is for some of the packets of a pair of addresses.
func (p *XfrmPolicy) covers(pair *XfrmPolicy) bool {
	same := func(a, b uint16) bool { return a == 0 || b == 0 || a == b }
	return p.Out == pair.Out && p.Source.Contains(pair.Source.Addr()) && p.Dest.Contains(pair.Dest.Addr()) &&
		(p.Protocol == 0 || p.Protocol == pair.Protocol) && same(p.SourcePort, pair.SourcePort) && same(p.DestPort, pair.DestPort)
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// state is the SA towards dest with that SPI, nil if there is none.
func (v *view) state(dest netip.Addr, spi uint32) *XfrmState { return v.states[arrival{dest, spi}] }

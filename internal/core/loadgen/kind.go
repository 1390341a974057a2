package loadgen

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is a kind of exchange.
type Kind uint8

// The kinds, by their names in DHCPv6. DHCPv4 has nearly the same kinds, with messages of its
// own. After Request, Rapid and FourWay a client holds a lease.
const (
	Solicit            Kind   = iota // Solicit, Advertise; Discover, Offer
	Request                          // Request, Reply; all four messages; of a client that holds nothing
	Renew                            // Renew, Reply; Request, ACK with the server alone
	Rebind                           // Rebind, Reply; Request, ACK
	Release                          // Release, Reply
	InformationRequest               // Information-request, Reply; Inform, ACK
	Rapid                            // Solicit with Rapid Commit, Reply
	FourWay                          // Solicit, Advertise, Request, Reply; Discover, Offer, Request, ACK: one exchange
	Kinds              = iota        // how many there are
)

// KindName is the name that ParseMix reads.
func (f Family) KindName(k Kind) string { return f.profile().traits[k].name }

// Mix says how often each kind of exchange is begun, as weights.
type Mix [Kinds]uint32

// maxWeight keeps sums of weights far below an overflow.
const maxWeight = 1_000_000

// ParseMix reads "kind=weight,kind=weight"; a kind alone has the weight 1. At
// least one weight is above 0.
func (f Family) ParseMix(text string) (Mix, error) {
	var m Mix
	var named [Kinds]bool
	for part := range strings.SplitSeq(text, ",") {
		name, weight, found := strings.Cut(part, "=")
		k, known := f.kindNamed(name)
		if !known {
			return Mix{}, fmt.Errorf("mix: no kind %q: there are %s", name, strings.Join(f.kindNames(), ", "))
		}
		if named[k] {
			return Mix{}, fmt.Errorf("mix: %s is named twice", name)
		}
		named[k], m[k] = true, 1
		if !found {
			continue
		}
		n, err := strconv.ParseUint(weight, 10, 32)
		if err != nil || n > maxWeight {
			return Mix{}, fmt.Errorf("mix: weight %q of %s: want a whole number from 0 to %d", weight, name, maxWeight)
		}
		m[k] = uint32(n)
	}
	if m == (Mix{}) {
		return Mix{}, fmt.Errorf("mix: %q: every weight is 0", text)
	}
	return m, nil
}

func (f Family) kindNamed(name string) (Kind, bool) {
	for k, t := range f.profile().traits {
		if t.name == name && name != "" {
			return Kind(k), true
		}
	}
	return 0, false
}

func (f Family) kindNames() (names []string) {
	for _, t := range f.profile().traits {
		if t.name != "" {
			names = append(names, t.name)
		}
	}
	return names
}

// MixText is a mix as ParseMix reads it.
func (f Family) MixText(m Mix) string {
	var parts []string
	for k, w := range m {
		if w > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", f.KindName(Kind(k)), w))
		}
	}
	return strings.Join(parts, ",")
}

// any reports whether some kind of a mix has a trait.
func (f Family) any(m Mix, has func(trait) bool) bool {
	for k, w := range m {
		if w > 0 && has(f.profile().traits[k]) {
			return true
		}
	}
	return false
}

// NeedsHolders reports whether some kind of a mix is of clients that hold a lease.
func (f Family) NeedsHolders(m Mix) bool {
	return f.any(m, func(t trait) bool { return t.speaker == holder })
}

// NeedsServer reports whether some kind of a mix begins with a message for one server.
func (f Family) NeedsServer(m Mix) bool { return f.any(m, func(t trait) bool { return t.named }) }

// Grants reports whether some kind of a mix makes a client hold a lease.
func (f Family) Grants(m Mix) bool { return f.any(m, func(t trait) bool { return t.grants }) }

// picker spreads the kinds evenly: after any number of picks each kind has had its share, with a
// difference below one. (This is smooth weighted round robin: at each step every kind gains its
// weight; the kind with the highest sum is picked, and the sum of all weights is subtracted from
// it.)
type picker struct {
	mix    Mix
	total  int64
	credit [Kinds]int64
}

func newPicker(m Mix) picker {
	p := picker{mix: m}
	for _, w := range m {
		p.total += int64(w)
	}
	return p
}

func (p *picker) pick() Kind {
	best := Kind(0)
	for k, w := range p.mix {
		p.credit[k] += int64(w)
		if p.credit[k] > p.credit[best] || p.mix[best] == 0 {
			best = Kind(k)
		}
	}
	p.credit[best] -= p.total
	return best
}

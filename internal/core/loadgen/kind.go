package loadgen

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is a kind of exchange.
type Kind uint8

// The kinds. Solicit changes nothing for the client, Request and four-way make
// it hold a delegation, as does Rapid; Renew, Rebind and Release are of clients
// that hold one.
const (
	Solicit            Kind   = iota // Solicit, Advertise
	Request                          // Request, Reply; of a client that holds nothing
	Renew                            // Renew, Reply
	Rebind                           // Rebind, Reply
	Release                          // Release, Reply
	InformationRequest               // Information-request, Reply
	Rapid                            // Solicit with Rapid Commit, Reply
	FourWay                          // Solicit, Advertise, Request, Reply: one exchange
	Kinds              = iota        // how many there are
)

var kindNames = [Kinds]string{"solicit", "request", "renew", "rebind", "release", "information-request", "rapid", "four-way"}

// String is the name that ParseMix reads.
func (k Kind) String() string {
	if k < Kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// needsHolder: only a client with a delegation can do it.
func (k Kind) needsHolder() bool { return k == Renew || k == Rebind || k == Release }

// grants: a client holds a delegation after it.
func (k Kind) grants() bool { return k == Request || k == Rapid || k == FourWay }

// Mix says how often each kind of exchange is begun, as weights.
type Mix [Kinds]uint32

// maxWeight keeps sums of weights far from overflow.
const maxWeight = 1_000_000

// ParseMix reads "kind=weight,kind=weight"; a kind alone has the weight 1. At
// least one weight is above 0.
func ParseMix(text string) (Mix, error) {
	var m Mix
	var named [Kinds]bool
	for part := range strings.SplitSeq(text, ",") {
		name, weight, found := strings.Cut(part, "=")
		k := kindNamed(name)
		if k == Kinds {
			return Mix{}, fmt.Errorf("mix: no kind %q: there are %s", name, strings.Join(kindNames[:], ", "))
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

func kindNamed(name string) Kind {
	for k, n := range kindNames {
		if n == name {
			return Kind(k)
		}
	}
	return Kinds
}

// String is the mix as ParseMix reads it.
func (m Mix) String() string {
	var parts []string
	for k, w := range m {
		if w > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", Kind(k), w))
		}
	}
	return strings.Join(parts, ",")
}

// NeedsHolders: some kind in it is of clients that hold a delegation.
func (m Mix) NeedsHolders() bool { return m[Renew] > 0 || m[Rebind] > 0 || m[Release] > 0 }

// NeedsServer: some kind in it begins with a message that names the server.
func (m Mix) NeedsServer() bool { return m[Request] > 0 || m[Renew] > 0 || m[Release] > 0 }

// Grants: some kind in it makes a client hold a delegation.
func (m Mix) Grants() bool { return m[Request] > 0 || m[Rapid] > 0 || m[FourWay] > 0 }

// picker spreads the kinds evenly: after any number of picks each kind has had
// its share, to one. (Smooth weighted round robin: everybody gains his weight,
// the richest is picked and pays for all.)
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

// Package privacy decides in which form the identifiers of clients and relays leave the process:
// in the log, in watches and traces, in the history, and in the report of a panic (RFC 8213
// section 4: "securing these systems and the data in databases and logs also needs to be
// considered"). Each of these places has a Mask, by the section "privacy" of the configuration.
// Answers to operators about the present are not masked; docs/privacy.md has the whole list.
//
// An identifier is a DUID, an address or prefix of a client, or a link-layer address. Addresses
// of configured peers and of this host are not masked: they are in the configuration, and a
// message about a peer would be useless without them.
//
// Any goroutine may use and change Rules; a Mask is a value.
package privacy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"sync/atomic"

	"fairlead/internal/app/config"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// Key is the key of hashes. Whoever has it can find out, by trying, whether a hash is that of an
// identifier which he knows.
type Key [32]byte

// NewKey is a random key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// Rules are the masks of all places. Nil Rules hide nothing.
type Rules struct{ current atomic.Pointer[rules] }

type rules struct {
	key    Key
	config config.Privacy
	public []netip.Prefix
}

// New makes the rules of a configuration with its peers.
func New(k Key, c config.Privacy, peers []trust.Peer) *Rules {
	r := new(Rules)
	r.current.Store(&rules{key: k, config: c, public: public(peers)})
	return r
}

// Reconfigure changes the rules from now on; the key stays.
func (r *Rules) Reconfigure(c config.Privacy, peers []trust.Peer) {
	r.current.Store(&rules{key: r.current.Load().key, config: c, public: public(peers)})
}

// UseKey replaces the key: hashes that were made before cannot be compared with later ones.
func (r *Rules) UseKey(k Key) {
	next := *r.current.Load()
	next.key = k
	r.current.Store(&next)
}

// public are the addresses and prefixes that the configuration itself has of peers. A prefix that
// stands for many relays is not public, because clients may be in it too.
func public(peers []trust.Peer) []netip.Prefix {
	var all []netip.Prefix
	for i := range peers {
		p := &peers[i]
		if p.Role == trust.Server && p.Prefix.IsValid() {
			all = append(all, p.Prefix)
		}
		for _, a := range []netip.Addr{p.Address, p.Local} {
			if a.IsValid() {
				all = append(all, netip.PrefixFrom(a, a.BitLen()))
			}
		}
	}
	return all
}

func (r *Rules) mask(of func(*config.Privacy) config.Identifiers) Mask {
	if r == nil {
		return Mask{}
	}
	c := r.current.Load()
	return Mask{how: of(&c.config), rules: c}
}

// Log is the mask of the log.
func (r *Rules) Log() Mask {
	return r.mask(func(c *config.Privacy) config.Identifiers { return c.Log })
}

// Trace is the mask of watches and traces.
func (r *Rules) Trace() Mask {
	return r.mask(func(c *config.Privacy) config.Identifiers { return c.Trace })
}

// History is the mask of records of ended delegations.
func (r *Rules) History() Mask {
	return r.mask(func(c *config.Privacy) config.Identifiers { return c.History })
}

// Crash is the mask of the report of a panic.
func (r *Rules) Crash() Mask {
	return r.mask(func(c *config.Privacy) config.Identifiers { return c.Crash })
}

// Mask says in which form one place shows identifiers. The zero Mask shows them unchanged.
type Mask struct {
	how   config.Identifiers
	rules *rules
}

// How is the form, in the configuration's word.
func (m Mask) How() config.Identifiers { return m.how }

// Shows reports whether the mask hides nothing.
func (m Mask) Shows() bool { return m.how == config.IdentifiersFull }

// kind keeps hashes of different kinds of identifiers apart.
type kind byte

const (
	kindDUID kind = iota + 1
	kindAddr
	kindPrefix
	kindLinkLayer
	kindText
	kindIAID
)

const hashLen = 6

// hash is HMAC-SHA-256 (RFC 2104), cut short: it distinguishes identifiers, and tells no more.
func (m Mask) hash(k kind, octets ...[]byte) [hashLen]byte {
	h := hmac.New(sha256.New, m.rules.key[:])
	h.Write([]byte{byte(k)})
	for _, o := range octets {
		h.Write(o)
	}
	return [hashLen]byte(h.Sum(nil))
}

// hidden stands for what is not written at all.
const hidden = "-"

// text is an identifier in the form for the log: "00:03..53:0a", "#5d1c0f2a9b3e", "-".
func (m Mask) text(full string, k kind, octets ...[]byte) string {
	switch m.how {
	case config.IdentifiersShort:
		return ends(full)
	case config.IdentifiersHashed:
		sum := m.hash(k, octets...)
		return "#" + hex.EncodeToString(sum[:])
	case config.IdentifiersNone:
		return hidden
	}
	return full
}

// ends are the first and the last few characters.
func ends(s string) string {
	n := min(5, len(s)/4)
	return s[:n] + ".." + s[len(s)-n:]
}

// DUIDText is a DUID, of which duid has the octets.
func (m Mask) DUIDText(duid string) string {
	if duid == "" {
		return ""
	}
	return m.text(dhcp6.DUID(duid).String(), kindDUID, []byte(duid))
}

// AddrText is an address.
func (m Mask) AddrText(a netip.Addr) string {
	if !m.hides(a) {
		return a.String()
	}
	octets := a.WithZone("").As16()
	text := m.text(a.WithZone("").String(), kindAddr, octets[:])
	if a.Zone() != "" {
		text += "%" + a.Zone()
	}
	return text
}

// hides reports whether an address may be a client's: the configuration does not name it.
func (m Mask) hides(a netip.Addr) bool {
	if m.Shows() || !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return false
	}
	return !slices.ContainsFunc(m.rules.public, func(p netip.Prefix) bool { return p.Contains(a.WithZone("")) })
}

// PrefixText is a delegated prefix or an assigned address. Its length does not tell whose it is,
// and stays.
func (m Mask) PrefixText(p netip.Prefix) string {
	if !p.IsValid() || p.Bits() == 0 || !m.hides(p.Addr()) {
		return p.String()
	}
	octets := p.Addr().As16()
	text := m.text(p.Addr().String(), kindPrefix, octets[:], []byte{byte(p.Bits())})
	return text + p.String()[len(p.Addr().String()):]
}

// LinkLayerText is a link-layer address.
func (m Mask) LinkLayerText(a linkaddr.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return m.text(a.String(), kindLinkLayer, a.Append(nil))
}

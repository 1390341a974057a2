package ipsec

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
)

// addStates adds the missing states: those that we send by, or those that we receive by.
func (p *pass) addStates(out bool) error {
	var refused []error
	for i := range p.associations {
		a := &p.associations[i]
		if a.Out != out {
			continue
		}
		if err := p.addState(a); err != nil {
			refused = append(refused, fmt.Errorf("xfrm: hop %s: state to %v with SPI %#08x: %w", a.Hop, a.Dest, a.SPI, err))
		}
	}
	return errors.Join(refused...)
}

func (p *pass) addState(a *hop.Association) error {
	h := p.inPlaceOf(a)
	if h != nil && h.Reqid != a.Reqid {
		return fmt.Errorf("another with reqid %#x is there, which is not ours", h.Reqid)
	}
	if h != nil && h.is(a) {
		if h.ends { // it was superseded before, and is wanted again
			return explain(p.k.writer.XfrmStateUpdate(stateOf(a)))
		}
		return nil
	}
	if h != nil {
		if err := p.k.removeState(h); err != nil {
			return err
		}
	}
	return explain(p.k.writer.XfrmStateAdd(stateOf(a)))
}

// inPlaceOf is the state in the kernel that has the place of an SA: for one destination and SPI
// there can be only one (RFC 4301 section 4.1).
func (p *pass) inPlaceOf(a *hop.Association) *installed {
	for i := range p.states {
		if h := &p.states[i]; h.Dest == a.Dest && h.SPI == a.SPI {
			return h
		}
	}
	return nil
}

// removeStates removes the states of ours that no hop has. Those that we sent by until now run
// out instead.
func (p *pass) removeStates() error {
	wanted := make(map[string]bool, len(p.associations))
	for i := range p.associations {
		wanted[placeOf(p.associations[i].Dest, p.associations[i].SPI)] = true
	}
	var refused []error
	for i := range p.states {
		h := &p.states[i]
		if h.Reqid != p.k.owner.Reqid() || wanted[placeOf(h.Dest, h.SPI)] {
			continue
		}
		take := p.k.removeState
		if p.superseded(h) {
			take = p.k.runOut
		}
		if err := take(h); err != nil {
			refused = append(refused, fmt.Errorf("xfrm: state to %v with SPI %#08x: %w", h.Dest, h.SPI, err))
		}
	}
	return errors.Join(refused...)
}

// superseded reports whether we now send between a state's hosts by another state.
func (p *pass) superseded(h *installed) bool {
	return slices.ContainsFunc(p.associations, func(a hop.Association) bool {
		return a.Out && a.Source == h.Source && a.Dest == h.Dest
	})
}

// linger is how long a superseded state stays, in seconds. Packets that are using it must get
// through: if it is removed, the kernel discards them.
const linger = 5

// runOut has the kernel prefer a state that does not end to this one, within a second or two, and
// remove this one after a while. The algorithms in the request are not used, but must be there.
func (k *Kernel) runOut(h *installed) error {
	if h.ends {
		return nil
	}
	age := uint64(h.Age.Seconds())
	err := k.writer.XfrmStateUpdate(&netlink.XfrmState{
		Src: h.Source.AsSlice(), Dst: h.Dest.AsSlice(),
		Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TRANSPORT,
		Spi: int(h.SPI), Reqid: int(h.Reqid),
		Limits: netlink.XfrmStateLimits{TimeSoft: age + 1, TimeHard: age + linger},
		Crypt:  &netlink.XfrmStateAlgo{Name: "cbc(aes)", Key: make([]byte, 16)},
		Auth:   &netlink.XfrmStateAlgo{Name: "hmac(sha256)", Key: make([]byte, 32), TruncateLen: 128},
	})
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return explain(err)
}

func placeOf(dest fmt.Stringer, spi uint32) string { return fmt.Sprintf("%v %d", dest, spi) }

func (k *Kernel) removeState(h *installed) error {
	err := k.writer.XfrmStateDel(&netlink.XfrmState{
		Src: h.Source.AsSlice(), Dst: h.Dest.AsSlice(), Proto: netlink.XFRM_PROTO_ESP, Spi: int(h.SPI),
	})
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return explain(err)
}

// stateOf is an SA in the library's form. It has keys: never print it. The selector binds each
// peer to its own address: in transport mode the kernel finds a state by destination and SPI
// alone, and does not look at the source.
func stateOf(a *hop.Association) *netlink.XfrmState {
	return &netlink.XfrmState{
		Selector: &netlink.XfrmPolicy{Src: network(host(a.Source)), Dst: network(host(a.Dest))},
		Src:      a.Source.AsSlice(), Dst: a.Dest.AsSlice(),
		Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TRANSPORT,
		Spi: int(a.SPI), Reqid: int(a.Reqid),
		ReplayWindow: hop.ManualReplayWindow, OSeqMayWrap: hop.ManualMayWrap,
		Crypt: &netlink.XfrmStateAlgo{Name: a.Encryption.Name, Key: a.Encryption.Key},
		Auth:  &netlink.XfrmStateAlgo{Name: a.Integrity.Name, Key: a.Integrity.Key, TruncateLen: a.Integrity.Truncate},
	}
}

// is reports whether a state is the SA, with the same keys. A kernel under lockdown shows zeros
// for keys: then only names and lengths are compared.
func (h *installed) is(a *hop.Association) bool {
	if h.Source != a.Source || h.window != hop.ManualReplayWindow || h.from != host(a.Source) || h.to != host(a.Dest) {
		return false
	}
	return h.keys == keysOf(a, a.Encryption.Key, a.Integrity.Key) ||
		h.keys == keysOf(a, make([]byte, len(a.Encryption.Key)), make([]byte, len(a.Integrity.Key)))
}

// host is the prefix with one address.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// keysOf writes algorithms and keys as the kernel shows them.
func keysOf(a *hop.Association, encryption, integrity []byte) string {
	crypt := nl.XfrmAlgo{AlgKeyLen: uint32(8 * len(encryption)), AlgKey: encryption}
	copy(crypt.AlgName[:], a.Encryption.Name)
	auth := nl.XfrmAlgoAuth{AlgKeyLen: uint32(8 * len(integrity)), AlgTruncLen: uint32(a.Integrity.Truncate), AlgKey: integrity}
	copy(auth.AlgName[:], a.Integrity.Name)
	var b strings.Builder
	b.Write(crypt.Serialize())
	b.Write(auth.Serialize())
	return b.String()
}

package ipsec

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"
)

// Dumps are read here and not by the library, which guesses a family from an address's last
// octets. Its structures are used. They point into the buffer, and are read before the function
// returns.

// installed is a state in the kernel, with what distinguishes it from others.
type installed struct {
	hop.XfrmState
	from, to netip.Prefix // its selector: the packets that it is for
	keys     string       // algorithm names and keys; never printed
	window   uint8
	ends     bool // the state has a lifetime
}

// laid is a policy in the kernel, with what distinguishes it from others.
type laid struct {
	hop.XfrmPolicy
	index uint32
	link  int32
}

// states lists the ESP SAs of the namespace, without those that wait for a key.
func (k *Kernel) states() ([]installed, error) {
	var all []installed
	now := time.Now()
	err := k.dump(nl.XFRM_MSG_GETSA, func() { all = all[:0] }, func(body []byte) {
		if s, ok := parseState(body, now); ok {
			all = append(all, s)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("xfrm: states: %w", err)
	}
	return all, nil
}

// policies lists the policies for input and output of the namespace.
func (k *Kernel) policies() ([]laid, error) {
	var all []laid
	err := k.dump(nl.XFRM_MSG_GETPOLICY, func() { all = all[:0] }, func(body []byte) {
		if p, ok := parsePolicy(body); ok {
			all = append(all, p)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("xfrm: policies: %w", err)
	}
	return all, nil
}

func (k *Kernel) dump(kind uint16, restart func(), found func(body []byte)) error {
	b, start := bulk.Begin(nil, kind, unix.NLM_F_DUMP)
	return k.reader.Dump(bulk.End(b, start), bulk.Tries, restart, func(_ uint16, body []byte) { found(body) })
}

func parseState(b []byte, now time.Time) (installed, bool) {
	if len(b) < nl.SizeofXfrmUsersaInfo {
		return installed{}, false
	}
	m := nl.DeserializeXfrmUsersaInfo(b)
	if m.Id.Proto != unix.IPPROTO_ESP {
		return installed{}, false
	}
	s := installed{
		XfrmState: hop.XfrmState{
			Source: address(m.Saddr, m.Family), Dest: address(m.Id.Daddr, m.Family),
			SPI: wide(m.Id.Spi), Reqid: m.Reqid,
			Traffic:      hop.Traffic{Packets: m.Curlft.Packets, Bytes: m.Curlft.Bytes},
			ReplayErrors: uint64(m.Stats.Replay), AuthErrors: uint64(m.Stats.IntegrityFailed),
		},
		from:   netip.PrefixFrom(address(m.Sel.Saddr, m.Sel.Family), int(m.Sel.PrefixlenS)),
		to:     netip.PrefixFrom(address(m.Sel.Daddr, m.Sel.Family), int(m.Sel.PrefixlenD)),
		window: m.ReplayWindow,
		ends:   m.Lft.HardAddExpiresSeconds != 0,
	}
	if added := time.Unix(int64(m.Curlft.AddTime), 0); now.After(added) {
		s.Age = now.Sub(added)
	}
	keyed := false
	bulk.Attrs(b[nl.SizeofXfrmUsersaInfo:], func(kind uint16, v []byte) {
		switch kind {
		case nl.XFRMA_ALG_CRYPT, nl.XFRMA_ALG_AEAD:
			keyed = true
			s.keys = string(v) + s.keys
		case nl.XFRMA_ALG_AUTH_TRUNC:
			s.keys += string(v)
		}
	})
	return s, keyed && s.SPI != 0
}

func parsePolicy(b []byte) (laid, bool) {
	if len(b) < nl.SizeofXfrmUserpolicyInfo {
		return laid{}, false
	}
	return policyFrom(b, b[nl.SizeofXfrmUserpolicyInfo:])
}

// policyFrom reads a policy. attrs may be empty, or be in another place than b.
func policyFrom(b, attrs []byte) (laid, bool) {
	m := nl.DeserializeXfrmUserpolicyInfo(b)
	if m.Dir != uint8(netlink.XFRM_DIR_IN) && m.Dir != uint8(netlink.XFRM_DIR_OUT) {
		return laid{}, false
	}
	p := laid{
		XfrmPolicy: hop.XfrmPolicy{
			Out:      m.Dir == uint8(netlink.XFRM_DIR_OUT),
			Source:   netip.PrefixFrom(address(m.Sel.Saddr, m.Sel.Family), int(m.Sel.PrefixlenS)),
			Dest:     netip.PrefixFrom(address(m.Sel.Daddr, m.Sel.Family), int(m.Sel.PrefixlenD)),
			Protocol: m.Sel.Proto,
			// A port with a mask that is not whole is a range, which covers more than we ask for:
			// so its own number is as good as any.
			SourcePort: narrow(m.Sel.Sport & m.Sel.SportMask), DestPort: narrow(m.Sel.Dport & m.Sel.DportMask),
			Priority: m.Priority,
			Stops:    m.Action == uint8(netlink.XFRM_POLICY_BLOCK),
		},
		index: m.Index,
		link:  m.Sel.Ifindex,
	}
	allow := m.Action == uint8(netlink.XFRM_POLICY_ALLOW)
	bulk.Attrs(attrs, func(kind uint16, v []byte) {
		if kind != nl.XFRMA_TMPL || len(v) < nl.SizeofXfrmUserTmpl {
			return
		}
		first := nl.DeserializeXfrmUserTmpl(v)
		p.Reqid = first.Reqid
		for ; len(v) >= nl.SizeofXfrmUserTmpl; v = v[nl.SizeofXfrmUserTmpl:] {
			t := nl.DeserializeXfrmUserTmpl(v)
			if allow && t.XfrmId.Proto == unix.IPPROTO_ESP && t.Mode == uint8(netlink.XFRM_MODE_TRANSPORT) && t.Optional == 0 {
				p.ESP = true
			}
		}
	})
	return p, true
}

func address(a nl.XfrmAddress, family uint16) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(a[:4]))
	}
	return netip.AddrFrom16(a)
}

// wide and narrow read numbers in network byte order.
func wide(v uint32) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, v))
}

func narrow(v uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v))
}

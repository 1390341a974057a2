package ipsec

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"
)

// Notices are the kernel's notices of every change of XFRM in a network namespace. One goroutine
// at a time uses them; only Wait may run beside another call.
type Notices struct {
	heard *bulk.Listener
	take  func(*hop.KernelEvent)         // the argument of the present Read
	parse func(kind uint16, body []byte) // made once, because every sender reads before each datagram
}

// OpenNotices begins to listen, in the network namespace of the calling thread. For a kernel
// without XFRM, which tells nothing, it returns nil.
func OpenNotices() (*Notices, error) {
	l, err := bulk.Listen(unix.NETLINK_XFRM, nl.XFRMNLGRP_EXPIRE, nl.XFRMNLGRP_SA, nl.XFRMNLGRP_POLICY)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("xfrm: notices: %w", err)
	}
	n := &Notices{heard: l}
	n.parse = func(kind uint16, body []byte) {
		e := hop.KernelEvent{Kind: hop.EventsLost}
		if parseNotice(kind, body, &e) {
			n.take(&e)
		}
	}
	return n, nil
}

// Close ends Wait.
func (n *Notices) Close() error { return n.heard.Close() }

// Wait is Listener.Wait of package bulk.
func (n *Notices) Wait(ctx context.Context) error { return n.heard.Wait(ctx) }

// Read gives take every notice that has come since the last Read, and does not wait. Where
// notices were lost, take gets hop.EventsLost. An event is valid until take returns.
func (n *Notices) Read(take func(*hop.KernelEvent)) {
	n.take = take
	if n.heard.Read(n.parse) {
		take(&hop.KernelEvent{Kind: hop.EventsLost})
	}
}

// parseNotice reads one notice. It returns false for a notice that does not matter.
func parseNotice(kind uint16, b []byte, e *hop.KernelEvent) bool {
	state := func(k hop.KernelEventKind, b []byte) bool {
		if len(b) < nl.SizeofXfrmUsersaInfo {
			return true // as if it had been lost
		}
		m := nl.DeserializeXfrmUsersaInfo(b)
		if m.Id.Proto != unix.IPPROTO_ESP {
			return false
		}
		e.Kind = k
		e.State = hop.XfrmState{Source: address(m.Saddr, m.Family), Dest: address(m.Id.Daddr, m.Family), SPI: wide(m.Id.Spi), Reqid: m.Reqid}
		return true
	}
	policy := func(k hop.KernelEventKind, b, attrs []byte) bool {
		if len(b) < nl.SizeofXfrmUserpolicyInfo {
			return true // as if it had been lost
		}
		p, is := policyFrom(b, attrs)
		if is {
			e.Kind, e.Policy = k, p.XfrmPolicy
		}
		return is
	}
	switch kind {
	case nl.XFRM_MSG_NEWSA, nl.XFRM_MSG_UPDSA:
		return state(hop.StateAdded, b)
	case nl.XFRM_MSG_DELSA:
		return state(hop.StateGone, attribute(b, nl.SizeofXfrmUsersaId, nl.XFRMA_SA))
	case nl.XFRM_MSG_EXPIRE:
		if len(b) > nl.SizeofXfrmUsersaInfo && b[nl.SizeofXfrmUsersaInfo] == 0 {
			return false // it is to be rekeyed, and still holds
		}
		return state(hop.StateGone, b)
	case nl.XFRM_MSG_FLUSHSA:
		e.Kind = hop.StatesFlushed
		return true
	case nl.XFRM_MSG_NEWPOLICY, nl.XFRM_MSG_UPDPOLICY:
		if len(b) < nl.SizeofXfrmUserpolicyInfo {
			return true // as if it had been lost
		}
		return policy(hop.PolicySet, b, b[nl.SizeofXfrmUserpolicyInfo:])
	case nl.XFRM_MSG_DELPOLICY:
		return policy(hop.PolicyGone, attribute(b, nl.SizeofXfrmUserpolicyId, nl.XFRMA_POLICY), nil)
	case nl.XFRM_MSG_POLEXPIRE:
		if len(b) > nl.SizeofXfrmUserpolicyInfo && b[nl.SizeofXfrmUserpolicyInfo] == 0 {
			return false
		}
		return policy(hop.PolicyGone, b, nil)
	case nl.XFRM_MSG_FLUSHPOLICY:
		e.Kind = hop.PoliciesFlushed
		return true
	}
	return false
}

// attribute finds the attribute of a kind behind a header of that size.
func attribute(b []byte, head int, wanted uint16) (found []byte) {
	if len(b) < head {
		return nil
	}
	bulk.Attrs(b[head:], func(kind uint16, v []byte) {
		if kind == wanted {
			found = v
		}
	})
	return found
}

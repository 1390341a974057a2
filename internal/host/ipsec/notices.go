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

// Notices is what the kernel tells of every change of XFRM in a network namespace.
// Wait apart, it is for one goroutine at a time.
type Notices struct {
	heard *bulk.Listener
	take  func(*hop.KernelEvent)         // of this Read
	parse func(kind uint16, body []byte) // bound once: who sends reads before each datagram
}

// OpenNotices begins to listen, in the network namespace of the calling thread. A
// kernel without XFRM tells nothing: nil.
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

// Wait is bulk.Listener's.
func (n *Notices) Wait(ctx context.Context) error { return n.heard.Wait(ctx) }

// Read hands take every change that was told and not read yet, and does not wait.
// What was lost is hop.EventsLost. The event is good until take returns.
func (n *Notices) Read(take func(*hop.KernelEvent)) {
	n.take = take
	if n.heard.Read(n.parse) {
		take(&hop.KernelEvent{Kind: hop.EventsLost})
	}
}

// parseNotice reads one notice; false if it changes nothing that anybody asks for.
func parseNotice(kind uint16, b []byte, e *hop.KernelEvent) bool {
	state := func(k hop.KernelEventKind, b []byte) bool {
		if len(b) < nl.SizeofXfrmUsersaInfo {
			return true // lost
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
			return true // lost
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
			return false // it is to be rekeyed
		}
		return state(hop.StateGone, b)
	case nl.XFRM_MSG_FLUSHSA:
		e.Kind = hop.StatesFlushed
		return true
	case nl.XFRM_MSG_NEWPOLICY, nl.XFRM_MSG_UPDPOLICY:
		if len(b) < nl.SizeofXfrmUserpolicyInfo {
			return true // lost
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

// attribute is that of a kind after a head of that size.
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

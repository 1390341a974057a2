package bulk

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A notice can be read as soon as the change is made. Notices that were lost for lack of room are
// reported once, and later ones can be read.
func TestListener(t *testing.T) {
	c := open(t)
	l, err := Listen(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8192); err != nil {
		t.Fatal(err)
	}
	read := func() (kinds map[uint16]int, lost bool) {
		kinds = make(map[uint16]int)
		lost = l.Read(func(kind uint16, body []byte) {
			if len(body) > 0 {
				kinds[kind]++
			}
		})
		return kinds, lost
	}
	change := func(n uint16, kind, flags uint16) {
		t.Helper()
		if _, err := c.Exchange(unreachable(nil, n, kind, flags), nil); err != nil {
			t.Fatal(err)
		}
	}
	if kinds, lost := read(); len(kinds) > 0 || lost {
		t.Errorf("nothing was done: %v, lost %v", kinds, lost)
	}
	change(1, unix.RTM_NEWROUTE, create)
	if err := l.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	change(1, unix.RTM_DELROUTE, unix.NLM_F_ACK)
	if kinds, lost := read(); kinds[unix.RTM_NEWROUTE] != 1 || kinds[unix.RTM_DELROUTE] != 1 || lost {
		t.Errorf("a route came and went: %v, lost %v", kinds, lost)
	}
	for n := range uint16(500) {
		change(n, unix.RTM_NEWROUTE, create)
	}
	if kinds, lost := read(); kinds[unix.RTM_NEWROUTE] >= 500 || !lost {
		t.Errorf("500 without room for them: %v, lost %v", kinds, lost)
	}
	change(1, unix.RTM_DELROUTE, unix.NLM_F_ACK)
	if kinds, lost := read(); kinds[unix.RTM_DELROUTE] != 1 || lost {
		t.Errorf("after that: %v, lost %v", kinds, lost)
	}

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := l.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting until it ends: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if kinds, _ := read(); len(kinds) > 0 {
		t.Errorf("after Close: %v", kinds)
	}
}

package server6_test

import (
	"bytes"
	"testing"

	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

const noticeCode = 65280

// telling is a configuration whose relay agent is protected and told what clients have.
func telling(c *server6.Config) {
	c.AssignmentOption = noticeCode
	c.Peers[0].Protection, c.Peers[0].Assignments = trust.ProtectionIPsec, true
}

// notice is what a Relay-reply says beside its message: the leases in the option, if it is there.
func (w *world) notice(payload []byte) (leases []readLease, there bool) {
	w.Helper()
	layer, err := dhcp6.ParseRelay(payload)
	if err != nil {
		w.Fatal(err)
	}
	b, there := layer.Options().First(noticeCode)
	if !there {
		return nil, false
	}
	whole := rawOption{25, append(make([]byte, 12), b...)}
	return readIAOf(w, whole).leases, true
}

// What the server has assigned is told beside each answer to a relay agent that asks: all leases
// of the client on its link, with the time that is left, and what ends with the answer with 0.
func TestAssignmentsAreTold(t *testing.T) {
	w := newWorld(t, telling)
	way := through("2001:db8:8::1", oro(noticeCode))
	ask := func(kind int, options ...option) ([]readLease, bool) {
		got := w.relays(way.around(carol.addr, carol.message(dhcp6.MessageType(kind), options...)))
		if len(got) != 1 {
			t.Fatalf("%d answers, drops %v", len(got), w.drops)
		}
		return w.notice(got[0].Payload)
	}
	if leases, there := ask(1, iaPD(1), iaNA(2)); !there || len(leases) != 0 {
		t.Errorf("beside an Advertise: %v, %v; want an empty option", leases, there)
	}
	got := w.asksBy(way, carol, 3, raw(2, []byte(serverID)...), iaPD(1), iaNA(2))
	given := got.taken()
	leases, _ := ask(5, given...)
	if len(leases) != 2 || leases[0].valid != 4000 || leases[0].preferred != 3000 {
		t.Errorf("beside a Reply: %v, want two leases for 4000 s", leases)
	}
	w.sleep(1000e9)
	if leases, _ = ask(11, clientID(carol.duid)); len(leases) != 2 || leases[0].valid != 3000 || leases[0].preferred != 2000 {
		t.Errorf("beside another Reply, 1000 s later: %v", leases)
	}
	if leases, _ = ask(8, given...); len(leases) != 2 || leases[0].valid != 0 || leases[1].valid != 0 {
		t.Errorf("beside the answer to a Release: %v, want both with 0", leases)
	}
}

// A relay agent that does not ask, or is not to be told, is told nothing, and neither is what
// belongs to nobody.
func TestAssignmentsAreToldToNobodyElse(t *testing.T) {
	asks := through("2001:db8:8::1", oro(noticeCode))
	for _, c := range []struct {
		name    string
		change  func(*server6.Config)
		way     layerOf
		message []byte
		untold  uint64
	}{
		{"does not ask", telling, through("2001:db8:8::1"), carol.message(1, iaPD(1)), 0},
		{"asks for another", telling, through("2001:db8:8::1", oro(17)), carol.message(1, iaPD(1)), 0},
		{"nobody's message", telling, asks, build(11), 0},
		{"in clear", func(c *server6.Config) { c.AssignmentOption = noticeCode }, asks, carol.message(1, iaPD(1)), 1},
		{"not to be told", func(c *server6.Config) { telling(c); c.Peers[0].Assignments = false }, asks, carol.message(1, iaPD(1)), 1},
	} {
		w := newWorld(t, c.change)
		got := w.relays(c.way.around(carol.addr, c.message))
		if len(got) != 1 {
			t.Fatalf("%s: %d answers, drops %v", c.name, len(got), w.drops)
		}
		if _, there := w.notice(got[0].Payload); there || bytes.Contains(got[0].Payload, []byte{noticeCode >> 8, noticeCode & 0xff}) {
			t.Errorf("%s: the relay agent is told", c.name)
		}
		if n := w.core.Totals().Untold; n != c.untold {
			t.Errorf("%s: %d counted as refused, want %d", c.name, n, c.untold)
		}
	}
}

package loadgen_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

// A delegation is followed from its grant to its release: which client sends what.
func TestDelegation(t *testing.T) {
	r := newRig(t, 3, "request,renew,rebind,release")
	r.meet()
	request := r.grant("2001:db8:100::/56")
	if request.Client != 7000 || request.MessageType != dhcpv6.MessageTypeRequest || heldPrefix(request) != "" {
		t.Errorf("client %d says %s", request.Client, request.Summary())
	}
	r.grant("2001:db8:200::/56")
	if r.Holders() != 2 {
		t.Fatalf("%d clients hold a delegation, want 2", r.Holders())
	}
	for _, step := range []struct {
		kind   loadgen.Kind
		client uint32
		prefix string
	}{
		{loadgen.Renew, 7000, "2001:db8:100::/56"},
		{loadgen.Renew, 7001, "2001:db8:200::/56"},
		{loadgen.Rebind, 7000, "2001:db8:100::/56"},
		{loadgen.Release, 7001, "2001:db8:200::/56"},
		{loadgen.Renew, 7000, "2001:db8:100::/56"},
	} {
		m := r.say(step.kind)
		if m.Client != step.client || heldPrefix(m) != step.prefix {
			t.Errorf("kind %d: client %d names %q, want client %d and %s", step.kind, m.Client, heldPrefix(m), step.client, step.prefix)
		}
		if names := m.Options.ServerID() != nil; names != (step.kind != loadgen.Rebind) {
			t.Errorf("kind %d: names a server: %v", step.kind, names)
		}
		r.hear(time.Millisecond, m, dhcp6.Reply, granting(step.prefix))
	}
	if r.Holders() != 1 {
		t.Errorf("%d clients hold a delegation after a Release, want 1", r.Holders())
	}
	// 7002 never held a delegation, and 7001 holds none any more. They come in this order.
	for _, want := range []uint32{7002, 7001} {
		if m := r.grant("2001:db8:300::/56"); m.Client != want {
			t.Errorf("client %d is the newcomer, want %d", m.Client, want)
		}
	}
	if _, _, ok := r.Begin(nil, loadgen.Request, r.now, r.now); ok {
		t.Error("a Request, and all clients hold a delegation")
	}
	r.wantUnexpected(0)
}

// One Renew moves a client to another prefix, and for another Renew the server has no binding.
func TestRenewMoves(t *testing.T) {
	r := newRig(t, 1, "request,renew")
	r.meet()
	r.grant("2001:db8:100::/56")
	r.hear(1, r.say(loadgen.Renew), dhcp6.Reply, granting("2001:db8:500::/60"))
	m := r.say(loadgen.Renew)
	if got := heldPrefix(m); got != "2001:db8:500::/60" {
		t.Errorf("the next Renew names %s", got)
	}
	r.hear(1, m, dhcp6.Reply, refusing(dhcp6.StatusNoBinding))
	if r.Holders() != 0 || r.Tally().Status[dhcp6.StatusNoBinding] != 1 {
		t.Errorf("after NoBinding: %d holders, statuses %v", r.Holders(), r.Tally().Status)
	}
	if m := r.say(loadgen.Request); heldPrefix(m) != "" {
		t.Errorf("a Request with the prefix %s", heldPrefix(m))
	}
}

// All four messages are one exchange, timed from its beginning, and the Request names what was
// offered.
func TestFourWay(t *testing.T) {
	r := newRig(t, 1, "four-way")
	solicit := r.say(loadgen.FourWay)
	b, m, more := r.hear(10*time.Millisecond, solicit, dhcp6.Advertise, granting("2001:db8:100::/56"))
	if !more || r.Underway() != 1 || r.Holders() != 0 {
		t.Fatalf("after the Advertise: more %v, %d under way, %d holders", more, r.Underway(), r.Holders())
	}
	request := r.read(m, b)
	if request.MessageType != dhcpv6.MessageTypeRequest || heldPrefix(request) != "2001:db8:100::/56" || request.TransactionID == solicit.TransactionID {
		t.Errorf("after the Advertise: %s", request.Summary())
	}
	r.want(loadgen.FourWay, counts{offered: 1})
	if _, _, more := r.hear(30*time.Millisecond, request, dhcp6.Reply, granting("2001:db8:100::/56")); more || r.Underway() != 0 || r.Holders() != 1 {
		t.Errorf("after the Reply: more %v, %d under way, %d holders", more, r.Underway(), r.Holders())
	}
	r.want(loadgen.FourWay, counts{offered: 1, answered: 1})
	if got := r.Tally().Kinds[loadgen.FourWay].Latency.Max(); got != 40*time.Millisecond {
		t.Errorf("took %s, want 40ms", got)
	}
}

// An Advertise that offers nothing ends a four-way exchange.
func TestFourWayRefused(t *testing.T) {
	r := newRig(t, 1, "four-way")
	if _, _, more := r.hear(1, r.say(loadgen.FourWay), dhcp6.Advertise, refusing(dhcp6.StatusNoPrefixAvail)); more {
		t.Error("a Request for nothing")
	}
	r.want(loadgen.FourWay, counts{offered: 1, answered: 1})
	if n := r.Tally().Status[dhcp6.StatusNoPrefixAvail]; n != 1 || r.Underway() != 0 {
		t.Errorf("NoPrefixAvail %d times, %d under way", n, r.Underway())
	}
}

// An exchange that is not answered in time is lost. If it is answered after that, it is late and
// not lost. A second answer belongs to no exchange.
func TestLateAndLost(t *testing.T) {
	r := newRig(t, 2, "solicit")
	first, second := r.say(loadgen.Solicit), r.say(loadgen.Solicit)
	r.now += timeout
	r.Expire(r.now)
	r.want(loadgen.Solicit, counts{offered: 2})
	if due, ok := r.Due(); !ok || due != r.now {
		t.Errorf("due %v %v, want %v", due, ok, r.now)
	}
	r.now++
	r.Expire(r.now)
	r.want(loadgen.Solicit, counts{offered: 2, lost: 2})
	if r.Underway() != 0 {
		t.Errorf("%d under way", r.Underway())
	}
	r.hear(1, first, dhcp6.Advertise, nil)
	r.want(loadgen.Solicit, counts{offered: 2, late: 1, lost: 1})
	r.hear(1, first, dhcp6.Advertise, nil)
	r.want(loadgen.Solicit, counts{offered: 2, late: 1, lost: 1})
	r.wantUnexpected(1)
	// This answer is late before Expire was called.
	third := r.say(loadgen.Solicit)
	r.hear(timeout+1, third, dhcp6.Advertise, nil)
	r.want(loadgen.Solicit, counts{offered: 3, late: 2, lost: 1})
	r.Expire(r.now)
	r.want(loadgen.Solicit, counts{offered: 3, late: 2, lost: 1})
	if r.Underway() != 0 {
		t.Errorf("%d under way", r.Underway())
	}
	if n := r.Tally().Kinds[loadgen.Solicit].Latency.Count(); n != 0 {
		t.Errorf("%d latencies of what was late", n)
	}
	_ = second
}

// A four-way exchange whose Advertise is late is lost, and counted as lost once.
func TestLateAdvertise(t *testing.T) {
	for name, expire := range map[string]bool{"looked for": true, "not yet": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, "four-way")
			m := r.say(loadgen.FourWay)
			r.now += timeout + 1
			if expire {
				r.Expire(r.now)
			}
			if _, _, more := r.hear(0, m, dhcp6.Advertise, granting("2001:db8:100::/56")); more {
				t.Error("it went on")
			}
			r.Expire(r.now)
			r.want(loadgen.FourWay, counts{offered: 1, lost: 1})
			if r.Underway() != 0 {
				t.Errorf("%d under way", r.Underway())
			}
		})
	}
}

// A client that asked and was granted nothing may ask again. If an exchange is lost, its answer
// still grants when it comes late.
func TestLostRequest(t *testing.T) {
	r := newRig(t, 1, "request")
	r.meet()
	m := r.say(loadgen.Request)
	if _, _, ok := r.Begin(nil, loadgen.Request, r.now, r.now); ok {
		t.Error("the same client twice at a time")
	}
	r.now += timeout + 1
	r.Expire(r.now)
	again := r.say(loadgen.Request)
	if again.Client != m.Client {
		t.Errorf("client %d, want %d", again.Client, m.Client)
	}
	r.now += timeout + 1
	r.Expire(r.now)
	r.hear(1, m, dhcp6.Reply, granting("2001:db8:100::/56"))
	if r.Holders() != 1 {
		t.Fatalf("%d holders", r.Holders())
	}
	if _, _, ok := r.Begin(nil, loadgen.Request, r.now, r.now); ok {
		t.Error("a Request of a client that holds a delegation")
	}
	r.want(loadgen.Request, counts{offered: 2, late: 1, lost: 1})
}

// A message that could not be sent does not count as offered.
func TestUnsent(t *testing.T) {
	r := newRig(t, 1, "request,four-way")
	r.meet()
	r.Unsent(r.say(loadgen.Request).Number)
	r.want(loadgen.Request, counts{failed: 1})
	m := r.say(loadgen.Request) // the client is free again
	r.hear(1, m, dhcp6.Reply, refusing(dhcp6.StatusNoPrefixAvail))
	r.Unsent(m.Number) // it has been answered
	r.want(loadgen.Request, counts{offered: 1, answered: 1, failed: 1})
	_, second, _ := r.hear(1, r.say(loadgen.FourWay), dhcp6.Advertise, granting("2001:db8:100::/56"))
	r.Unsent(second.Number)
	r.want(loadgen.FourWay, counts{failed: 1})
	if r.Underway() != 0 {
		t.Errorf("%d under way", r.Underway())
	}
}

// Messages that answer nothing change nothing.
func TestUnexpected(t *testing.T) {
	r := newRig(t, 2, "solicit")
	m := r.say(loadgen.Solicit)
	good := r.answer(m, dhcp6.Advertise, nil)
	for name, b := range map[string]struct {
		client uint32
		octets []byte
	}{
		"empty":            {m.Client, nil},
		"cut":              {m.Client, good[:len(good)-1]},
		"another client's": {m.Client + 1, good},
		"another type":     {m.Client, r.answer(m, dhcp6.Reply, nil)},
		"another id":       {m.Client, append([]byte{2, good[1] ^ 1}, good[2:]...)},
		"no server":        {m.Client, good[:4+4+10]},
		"a relay's":        {m.Client, dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, netip.IPv6Unspecified(), netip.IPv6Unspecified())},
	} {
		before := r.Tally().Unexpected
		if _, _, more := r.Answer(nil, b.client, r.now, b.octets); more || r.Tally().Unexpected != before+1 || r.Underway() != 1 {
			t.Errorf("%s: more %v, %d unexpected, %d under way", name, more, r.Tally().Unexpected-before, r.Underway())
		}
	}
	r.want(loadgen.Solicit, counts{offered: 1})
	// An answer to a message that was sent before Restart is not counted after it.
	r.Restart()
	r.hear(1, m, dhcp6.Advertise, nil)
	r.want(loadgen.Solicit, counts{})
	r.wantUnexpected(1)
	r.now += timeout + 1
	r.Expire(r.now)
	r.want(loadgen.Solicit, counts{})
	if r.Underway() != 0 {
		t.Errorf("%d under way", r.Underway())
	}
}

// If more exchanges are under way than are remembered, the oldest are given up.
func TestRingFull(t *testing.T) {
	r := newRig(t, 10, "solicit")
	const remembered = 1024
	oldest := r.say(loadgen.Solicit)
	for range remembered - 1 {
		r.say(loadgen.Solicit)
	}
	r.want(loadgen.Solicit, counts{offered: remembered})
	r.say(loadgen.Solicit)
	r.want(loadgen.Solicit, counts{offered: remembered + 1, lost: 1})
	r.hear(1, oldest, dhcp6.Advertise, nil)
	r.wantUnexpected(1)
	if r.Underway() != remembered {
		t.Errorf("%d under way, want %d", r.Underway(), remembered)
	}
}

// While no client holds a delegation, one is granted first.
func TestNextWithoutHolders(t *testing.T) {
	r := newRig(t, 4, "renew=3,four-way=1,solicit=0")
	for range 8 {
		if k := r.Next(); k != loadgen.FourWay {
			t.Fatalf("kind %d, and nobody holds anything", k)
		}
	}
	r.hear(1, r.say(loadgen.Rapid), dhcp6.Reply, granting("2001:db8:100::/56"))
	seen := map[loadgen.Kind]int{}
	for range 8 {
		seen[r.Next()]++
	}
	if seen[loadgen.Renew] != 6 || seen[loadgen.FourWay] != 2 {
		t.Errorf("of eight: %v, want 6 renew and 2 four-way", seen)
	}
}

// An exchange allocates nothing.
func TestNoAllocations(t *testing.T) {
	r := newRig(t, 100, "four-way")
	room := make([]byte, 0, loadgen.MaxMessage)
	advertise := r.answer(r.say(loadgen.FourWay), dhcp6.Advertise, granting("2001:db8:100::/56"))
	reply := r.answer(sent{Message: dhcpMessage(t, advertise)}, dhcp6.Reply, granting("2001:db8:100::/56"))
	exchange := func() {
		b, m, _ := r.Begin(room, loadgen.FourWay, r.now, r.now)
		copy(advertise[1:4], b[1:4])
		b, m, more := r.Answer(room, m.Client, r.now, advertise)
		if !more {
			t.Fatal("no Request")
		}
		copy(reply[1:4], b[1:4])
		r.Answer(room, m.Client, r.now, reply)
		r.Expire(r.now)
	}
	exchange()
	if n := testing.AllocsPerRun(1000, exchange); n != 0 {
		t.Errorf("%v allocations in an exchange", n)
	}
}

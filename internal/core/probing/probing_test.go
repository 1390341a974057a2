package probing_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/probing"
	"fairlead/internal/wire/linkaddr"
)

// most is how many questions may be open at once.
const most = 256

// hop is one of many next hops.
func hop(n int) binding.NextHop {
	a := [16]byte{0: 0xfe, 1: 0x80}
	binary.BigEndian.PutUint32(a[12:], uint32(n)+1)
	return binding.NextHop{Link: "lan0", Addr: netip.AddrFrom16(a), LinkLayer: linkaddr.From([]byte{2, 0, 0, 0, byte(n >> 8), byte(n)})}
}

func question(n int) binding.Question { return binding.Question{NextHop: hop(n)} }

func at(seconds int) instant.Now {
	return instant.Now{Boot: instant.Instant(0).After(time.Duration(seconds+1) * time.Second)}
}

// A message waits with a copy of its payload, is given back once, and has the answer under the
// name that its link has by then.
func TestMessageWaits(t *testing.T) {
	var m probing.Messages
	payload := []byte("renew")
	before := map[binding.Question]bool{question(2): false}
	if !m.Wait(at(0), &inbound.Packet{Link: 7, Payload: payload}, question(1), before) {
		t.Fatal("the first message does not wait")
	}
	if m.Wait(at(1), &inbound.Packet{Link: 8}, question(1), nil) {
		t.Error("a second message waits for the same answer")
	}
	payload[0] = 'x' // the memory is used again
	m.Rename("lan0", "lan7")
	p, answered := m.Answered(at(2), question(1), true)
	if p == nil || p.Link != 7 || string(p.Payload) != "renew" {
		t.Fatalf("the message that waited is %+v", p)
	}
	renamed := question(1)
	renamed.NextHop.Link = "lan7"
	if keeps, known := answered[renamed]; !known || !keeps {
		t.Errorf("answers %v, want that %v keeps", answered, renamed)
	}
	if keeps, known := answered[question(2)]; !known || keeps || len(answered) != 2 {
		t.Errorf("answers %v, want the earlier one of %v too", answered, question(2))
	}
	if len(before) != 1 {
		t.Errorf("the answers of before are %v now", before)
	}
	if p, _ := m.Answered(at(2), question(1), true); p != nil || m.Len() != 0 {
		t.Errorf("a message is given back twice: %+v", p)
	}
}

// An answer that comes too late finds no message, and the question may be asked again.
func TestMessageHasWaitedTooLong(t *testing.T) {
	var m probing.Messages
	m.Wait(at(0), &inbound.Packet{}, question(1), nil)
	if p, _ := m.Answered(at(5), question(1), true); p != nil {
		t.Errorf("after 5 s %+v is given back", p)
	}
	m.Wait(at(5), &inbound.Packet{Link: 1}, question(1), nil)
	if !m.Wait(at(10), &inbound.Packet{Link: 2}, question(1), nil) {
		t.Error("after 5 s without an answer no message may wait")
	}
}

// However many questions there are, so many messages wait and so many addresses are asked, and
// there is room again when their time is over.
func TestBounds(t *testing.T) {
	var messages probing.Messages
	var addresses probing.Addresses
	waiting, asked := 0, 0
	add := func(n, seconds int) {
		if messages.Wait(at(seconds), &inbound.Packet{}, question(n), nil) {
			waiting++
		}
		e := binding.Event{AskedFrom: hop(n).Addr, New: binding.Binding{Link: "lan0", LinkLayer: hop(n).LinkLayer}}
		if _, ask := addresses.Add(at(seconds), &e); ask {
			asked++
		}
	}
	for n := range 2 * most {
		add(n, 0)
	}
	if waiting != most || asked != most || messages.Len() != most {
		t.Errorf("%d messages wait, and %d addresses are asked, want %d of each", waiting, asked, most)
	}
	add(3*most, 6)
	if waiting != most+1 || asked != most+1 || messages.Len() != 1 {
		t.Errorf("when their time is over %d wait, of %d and %d in all", messages.Len(), waiting, asked)
	}
}

// An address that is being asked is not asked again, and gets each delegation that was asked for
// from it meanwhile.
func TestAddressGetsAllThatIsAskedFor(t *testing.T) {
	table := delegation.New()
	first, other := hop(1), hop(1)
	other.Addr = hop(2).Addr
	var a probing.Addresses
	isAsked := false
	for _, p := range []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/56"), netip.MustParsePrefix("2001:db8:2::/56")} {
		b := binding.Binding{Link: "lan0", Prefix: p, Client: binding.DUID("\x00\x03alice"), NextHop: first.Addr, LinkLayer: first.LinkLayer, Valid: instant.Never, Preferred: instant.Never}
		table.Add(&b)
		for range 2 {
			to, ask := a.Add(at(0), &binding.Event{AskedFrom: other.Addr, New: b})
			if to != other {
				t.Errorf("%v is to be asked, want %v", to, other)
			}
			if ask == isAsked {
				t.Errorf("%v: to be asked: %v, and it is asked already: %v", p, ask, isAsked)
			}
			isAsked = true
		}
	}
	events := a.Answered(at(1), other, true, table, nil)
	if len(events) != 2 || events[0].Kind != binding.Moved || events[1].Kind != binding.Moved || events[0].New.NextHop != other.Addr {
		t.Errorf("events %+v, want two moves", events)
	}
	if again := a.Answered(at(1), other, true, table, nil); len(again) != 0 {
		t.Errorf("a second answer has events %+v", again)
	}
}

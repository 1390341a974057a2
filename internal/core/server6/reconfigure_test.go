package server6_test

import (
	"bytes"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// accepts is the Reconfigure Accept option.
var accepts = raw(20)

// keyOf is the reconfigure key in a Reply (RFC 8415 section 20.4.1).
func keyOf(t *testing.T, a answer) (key dhcp6.ReconfigureKey) {
	t.Helper()
	auth := a.payloads(11)
	if len(auth) != 1 || len(auth[0]) != 28 || auth[0][0] != 3 || auth[0][1] != 1 || auth[0][2] != 0 || auth[0][11] != 1 || !a.has(20) {
		t.Fatalf("Authentication option %x, Reconfigure Accept %v", auth, a.has(20))
	}
	copy(key[:], auth[0][12:])
	return key
}

// asked has the server ask clients to come back, and returns what it sends at once.
func (w *world) asked(of server6.Selected, by dhcp6.MessageType) (server6.Reconfigured, [][]byte) {
	before := len(w.sent)
	done := w.core.Ask(w.now, of, by, &w.eff)
	w.carryOut()
	return done, w.sentSince(before)
}

func (w *world) sentSince(before int) (all [][]byte) {
	for _, s := range w.sent[before:] {
		all = append(all, bytes.Clone(innermost(s.Payload)))
	}
	return all
}

// RFC 8415 section 18.3.11 and 20.4: a client that accepts Reconfigures gets its key in the Reply,
// and a Reconfigure that this key proves, again and again until it comes.
func TestReconfigureUntilItIsGivenUp(t *testing.T) {
	w := newWorld(t)
	offer := w.asks(alice, dhcp6.Solicit, iaPD(1), accepts)
	if len(offer.payloads(11)) != 0 || !offer.has(20) {
		t.Error("an Advertise has the key, or does not say that Reconfigures may come")
	}
	reply := w.asks(alice, dhcp6.Request, append(offer.taken(), accepts)...)
	key := keyOf(t, reply)
	w.obtains(bob, iaPD(1)) // does not accept
	done, sent := w.asked(server6.Selected{Link: "lan0"}, dhcp6.Renew)
	if done != (server6.Reconfigured{Asked: 1, Refuse: 1}) || len(sent) != 1 {
		t.Fatalf("%+v, %d messages", done, len(sent))
	}
	if s := w.sent[len(w.sent)-1]; s.Dest.Addr() != addr(alice.addr) || s.Link != lan0Index || s.LinkLayer != alice.mac || s.Dest.Port() != 546 {
		t.Errorf("sent to %+v", s)
	}
	m, err := dhcp6.ParseMessage(sent[0])
	if err != nil || m.Type() != dhcp6.Reconfigure || m.TransactionID() != 0 || !m.ReconfigureAuthentic(key) {
		t.Fatalf("the Reconfigure %x: %v, authentic %v", sent[0], err, m.ReconfigureAuthentic(key))
	}
	id, _ := m.ClientID()
	server, _ := m.ServerID()
	if by, _ := m.Options().First(dhcp6.OptionReconfMessage); string(id) != alice.duid || string(server) != serverID || !bytes.Equal(by, []byte{5}) {
		t.Errorf("client %x, server %x, message %x", id, server, by)
	}
	replays := map[uint64]bool{}
	count := 1
	for before := len(w.sent); ; before = len(w.sent) {
		w.sleep(2 * time.Minute)
		for _, b := range w.sentSince(before) {
			again, _ := dhcp6.ParseMessage(b)
			o, _ := again.Options().First(dhcp6.OptionAuth)
			auth, _ := dhcp6.ParseAuth(o)
			if !again.ReconfigureAuthentic(key) || replays[auth.ReplayDetection] {
				t.Error("a Reconfigure that is sent again is not authentic, or a replay")
			}
			replays[auth.ReplayDetection] = true
			count++
		}
		if len(w.sent) == before {
			break
		}
	}
	if count != 8 {
		t.Errorf("%d Reconfigures to a client that does not come, want 8 (REC_MAX_RC)", count)
	}
}

// The message that the client was asked for ends it; any other does not.
func TestReconfigureUntilTheClientComes(t *testing.T) {
	w := newWorld(t)
	offer := w.asks(alice, dhcp6.Solicit, iaPD(1), accepts)
	got := w.asks(alice, dhcp6.Request, append(offer.taken(), accepts)...)
	w.asked(server6.Selected{Client: binding.DUID(alice.duid)}, dhcp6.InformationRequest)
	w.asks(alice, dhcp6.Renew, append(got.taken(), accepts)...)
	before := len(w.sent)
	w.sleep(3 * time.Second)
	if n := len(w.sent) - before; n != 1 {
		t.Errorf("after a Renew %d Reconfigures, want one more: an Information-request was asked for", n)
	}
	w.asks(alice, dhcp6.InformationRequest, clientID(alice.duid))
	before = len(w.sent)
	w.sleep(10 * time.Minute)
	if n := len(w.sent) - before; n != 0 {
		t.Errorf("%d Reconfigures to a client that has come", n)
	}
}

// Behind relay agents a Reconfigure goes the way that the client's last message came. After a
// restart the way is not known, and that the client accepts it is.
func TestReconfigureThroughRelays(t *testing.T) {
	w := newWorld(t)
	way := through("2001:db8:8::1", interfaceID("port-7"))
	offer := w.asksBy(way, carol, dhcp6.Solicit, iaPD(1), accepts)
	w.asksBy(way, carol, dhcp6.Request, append(offer.taken(), accepts)...)
	done, sent := w.asked(server6.Selected{Within: cidr("2001:db8:6000::/40")}, dhcp6.Rebind)
	if done.Asked != 1 || len(sent) != 1 || sent[0][0] != byte(dhcp6.Reconfigure) {
		t.Fatalf("%+v, sent %x", done, sent)
	}
	s := w.sent[len(w.sent)-1]
	layer, err := dhcp6.ParseRelay(s.Payload)
	if err != nil || layer.Type() != dhcp6.RelayReply || layer.PeerAddress() != addr(carol.addr) || s.Dest.Addr() != addr(relayAddr) || !s.ToPeer {
		t.Fatalf("%v: %+v to %v", err, layer, s.Dest)
	}
	if id, _ := layer.Options().First(dhcp6.OptionInterfaceID); string(id) != "port-7" {
		t.Errorf("interface-id %q", id)
	}
	w.restart()
	if done, sent := w.asked(server6.Selected{Within: cidr("2001:db8:6000::/40")}, dhcp6.Rebind); done != (server6.Reconfigured{WayUnknown: 1}) || len(sent) != 0 {
		t.Errorf("after a restart %+v, sent %x", done, sent)
	}
}

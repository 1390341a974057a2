package server6_test

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
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

// replayIn is the replay detection field of the Authentication option among options.
func replayIn(t *testing.T, options []rawOption) uint64 {
	t.Helper()
	for _, o := range options {
		if o.code == 11 {
			return binary.BigEndian.Uint64(o.payload[3:])
		}
	}
	t.Fatal("there is no Authentication option")
	return 0
}

// keyed is a client that has a prefix, and the Reply that gave it, which has its key.
func (w *world) keyed(c client) answer {
	w.Helper()
	return w.asks(c, dhcp6.Request, append(w.asks(c, dhcp6.Solicit, iaPD(1), accepts).taken(), accepts)...)
}

// Section 18.3.11: a client that accepts Reconfigures gets its key in the Reply, and a Reconfigure that
// this key proves, again and again until it comes, and until "REC_MAX_RC unsuccessful attempts have been
// made, at which point the server SHOULD abort the reconfigure process for that client". RFC 8415 18.3d,
// 18.3.2i, 18.3.11a, 18.3.11b, 18.3.11c, 20.2a, 20.3a and 20.3b.
func TestRFC8415_18_3_11d_UntilItIsGivenUp(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) { c.Options = []server6.Option{{Code: 23, Data: []byte("dns"), Always: true}} })
	offer := w.asks(alice, dhcp6.Solicit, iaPD(1), accepts)
	if len(offer.payloads(11)) != 0 || !offer.has(20) {
		t.Error("an Advertise has the key, or does not say that Reconfigures may come")
	}
	reply := w.asks(alice, dhcp6.Request, append(offer.taken(), accepts)...)
	key := keyOf(t, reply)
	if got := w.obtains(bob, iaPD(1)); got.has(20) || got.has(11) {
		t.Error("a client that does not accept Reconfigures is told of them")
	}
	first := len(w.sent)
	done, sent := w.asked(server6.Selected{Link: "lan0"}, dhcp6.Renew)
	if done != (server6.Reconfigured{Asked: 1, Refuse: 1}) || len(sent) != 1 {
		t.Fatalf("%+v, %d messages", done, len(sent))
	}
	if s := w.sent[len(w.sent)-1]; s.Dest.Addr() != addr(alice.addr) || s.Link != lan0Index || s.LinkLayer != alice.mac || s.Dest.Port() != 546 {
		t.Errorf("sent to %+v", s)
	}
	w.sleep(time.Hour)
	all := w.sentSince(first)
	if len(all) != 8 {
		t.Errorf("%d Reconfigures to a client that does not come, want 8 (REC_MAX_RC)", len(all))
	}
	last := replayIn(t, reply.options)
	for _, b := range all {
		m, err := dhcp6.ParseMessage(b)
		if err != nil || m.Type() != dhcp6.Reconfigure || m.TransactionID() != 0 || !m.ReconfigureAuthentic(key) {
			t.Fatalf("the Reconfigure %x: %v, authentic %v", b, err, m.ReconfigureAuthentic(key))
		}
		id, _ := m.ClientID()
		server, _ := m.ServerID()
		if by, _ := m.Options().First(dhcp6.OptionReconfMessage); string(id) != alice.duid || string(server) != serverID || !bytes.Equal(by, []byte{5}) {
			t.Errorf("client %x, server %x, message %x", id, server, by)
		}
		var codes []int
		options := rawOptions(t, b[4:])
		for _, o := range options {
			codes = append(codes, o.code)
		}
		if slices.Sort(codes); !slices.Equal(codes, []int{1, 2, 11, 19}) {
			t.Errorf("options %v, want one of each that a Reconfigure needs, and no other", codes)
		}
		if replay := replayIn(t, options); replay <= last {
			t.Errorf("replay detection %d after %d", replay, last)
		} else {
			last = replay
		}
	}
}

// Section 20.3: "Servers that support the reconfigure mechanism MUST ensure that the replay detection value
// is retained between restarts", also where the clock of the machine is behind after it or was never right.
func TestRFC8415_20_3c_ReplaysAfterARestart(t *testing.T) {
	for what, again := range map[string]func(w *world){
		"the process":                     (*world).restart,
		"the machine":                     func(w *world) { w.reboot(w.now.Wall.Add(time.Minute), true) },
		"the machine, whose clock is off": func(w *world) { w.reboot(time.Unix(1000, 0), false) },
		"the core": func(w *world) {
			old := w.core
			w.core = server6.New(w.cfg, w.bootID)
			w.core.Succeed(old)
			w.start(w.core)
		},
	} {
		t.Run(what, func(t *testing.T) {
			for _, synced := range []bool{true, false} {
				w := newWorld(t)
				if w.now.Synced = synced; !synced {
					w.now.Wall = time.Unix(5000, 0)
				}
				last := replayIn(t, w.keyed(alice).options)
				for range 3 {
					w.sleep(50 * time.Minute)
					for range 20 {
						last = replayIn(t, w.keyed(alice).options)
					}
					again(w)
					if got := replayIn(t, w.keyed(alice).options); got <= last {
						t.Fatalf("synchronised %v: replay detection %d after %d", synced, got, last)
					}
				}
			}
		})
	}
}

// Section 20.4.2: "The reconfigure key is 128 bits long and MUST be a cryptographically strong random or
// pseudorandom number that cannot easily be predicted": it follows from the secret by HMAC-SHA-256, and each
// client has its own, which stays its own.
func TestRFC8415_20_4_2a_Keys(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t, func(c *server6.Config) { c.Secret[31] ^= 1 })
	ones, keys := 0, make(map[dhcp6.ReconfigureKey]bool)
	const clients = 200
	for n := range clients {
		key := keyOf(t, w.keyed(somebody(n)))
		if again := keyOf(t, w.keyed(somebody(n))); again != key {
			t.Fatalf("client %d has the keys %x and %x", n, key, again)
		}
		for _, k := range []dhcp6.ReconfigureKey{key, keyOf(t, other.keyed(somebody(n)))} {
			if keys[k] {
				t.Fatalf("the key %x is there twice", k)
			}
			keys[k] = true
			for _, b := range k {
				ones += bits.OnesCount8(b)
			}
		}
	}
	// The mean is half of the bits, and the deviation 113 of 51200.
	if all := 2 * clients * 128; ones < all/2-1000 || ones > all/2+1000 {
		t.Errorf("%d of %d bits are set", ones, all)
	}
}

// Section 18.3: "The server MAY include options containing the IAs and new values for other configuration
// parameters in the Reply message, even if those IAs and parameters were not requested in the client's
// message": what the configuration has for all, also for those that do not ask.
func TestRFC8415_18_3e_NewValues(t *testing.T) {
	w := newWorld(t)
	got := w.keyed(alice)
	w.reconfigure(func(c *server6.Config) { c.Options = []server6.Option{{Code: 23, Data: []byte("dns"), Always: true}} })
	if _, sent := w.asked(server6.Selected{}, dhcp6.Renew); len(sent) != 1 {
		t.Fatalf("%d Reconfigures", len(sent))
	}
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() || !slices.Equal(again.payloads(23), []string{"dns"}) {
		t.Errorf("%q, option %q", again.leases(), again.payloads(23))
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

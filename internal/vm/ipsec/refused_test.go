//go:build vm

package ipsec_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/lab/ike"
	"fairlead/internal/system/protected"
	"fairlead/internal/system/rig"
)

// refusal is keys that one end does not believe, and what each end says of it.
type refusal struct {
	name              string
	keys              protected.Keying
	atRelay, atServer string // part of the last error
}

// denied is what strongSwan says where the other end does not believe it.
const denied = "AUTHENTICATION_FAILED"

// badly has certificates of which the relay's is as the request and the
// authorities say.
func badly(r func(relay []netip.Addr) ike.Request, stranger bool) protected.Keying {
	return func(n *rig.Net, server netip.Addr, relay ...netip.Addr) (atRelay, atServer string) {
		n.T.Helper()
		good, err := ike.NewAuthority("authority")
		n.Need(err)
		other, err := ike.NewAuthority("stranger")
		n.Need(err)
		by := good
		if stranger {
			by = other
		}
		return protected.Certificate(n, by, good, r(relay)), protected.Certificate(n, good, good, ike.Request{Addresses: []netip.Addr{server}})
	}
}

var refusals = []refusal{
	{"wrong pre-shared key", func(n *rig.Net, server netip.Addr, relay ...netip.Addr) (string, string) {
		atRelay, _ := protected.Preshared(n, server, relay...)
		_, atServer := protected.Preshared(n, server, relay...)
		return atRelay, atServer
	}, denied, "MAC mismatched"},
	{"expired certificate", badly(func(relay []netip.Addr) ike.Request {
		return ike.Request{Addresses: relay, From: time.Now().Add(-48 * time.Hour), Until: time.Now().Add(-24 * time.Hour)}
	}, false), denied, "certificate"},
	{"unknown authority", badly(func(relay []netip.Addr) ike.Request { return ike.Request{Addresses: relay} }, true), denied, "no trusted"},
	{"somebody else's certificate", func(n *rig.Net, server netip.Addr, relay ...netip.Addr) (string, string) {
		authority, err := ike.NewAuthority("authority")
		n.Need(err)
		other := netip.MustParseAddr("2001:db8:ff::99")
		return protected.Certificate(n, authority, authority, ike.Request{Addresses: []netip.Addr{other}}) + "      local-id: " + other.String() + "\n",
			protected.Certificate(n, authority, authority, ike.Request{Addresses: []netip.Addr{server}})
	}, denied, "no matching peer config found"},
}

// Where the two ends do not believe each other nothing passes, both say why, and
// with the right keys it goes on. RFC 8213 3p and 3q.
func TestRFC8213_3_Refused(t *testing.T) {
	w := protectedWorld(t, "psk")
	right := [2]string{}
	right[0], right[1] = stanzas(protected.Preshared(w.Net, serverAddress, relayAddress))
	for _, c := range refusals {
		w.Run(c.name, func(t *testing.T) {
			from := len(w.wire.Lines())
			started := time.Now()
			w.rekeyed(stanzas(c.keys(w.Net, serverAddress, relayAddress)))
			f := w.busy()
			w.server.Notices(started, c.atServer)
			w.relay.Notices(started, c.atRelay)
			noticed := time.Since(started)
			if atClient, atServer := f.stop(); atClient+atServer+f.answers > 0 {
				t.Errorf("%d and %d messages of an intruder were taken, %d answered", atClient, atServer, f.answers)
			}
			w.wire.OnlyESP(from)
			corrected := time.Now()
			w.rekeyed(right[0], right[1])
			w.becomesProtected()
			t.Logf("noticed after %v; with the right keys protected after %v", noticed, time.Since(corrected))
		})
	}
}

// rekeyed gives both ends other peers, and ends what they had negotiated.
func (w *world) rekeyed(relay, server string) {
	w.T.Helper()
	w.relay.Configure(relay)
	w.server.Configure(server)
	w.relay.Reload()
	w.server.Reload()
	_, err := w.relay.Charon.Swanctl("--terminate", "--ike", "fairlead-relay-server")
	if err != nil {
		w.T.Logf("terminate: %v", err) // the change of keys may have ended it already
	}
}

//go:build vm

package ipsec_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/lab/ike"
)

// refusal is keys that one end does not believe, and what each end says of it.
type refusal struct {
	name              string
	keys              keying
	atRelay, atServer string // part of the last error
}

// denied is what strongSwan says where the other end does not believe it.
const denied = "AUTHENTICATION_FAILED"

// badly has certificates of which the relay's is as the request and the
// authorities say.
func badly(r func(a netip.Addr) ike.Request, stranger bool) keying {
	return func(t *testing.T, dir string, a, b netip.Addr) (atA, atB string) {
		t.Helper()
		good, err := ike.NewAuthority("authority")
		need(t, err)
		other, err := ike.NewAuthority("stranger")
		need(t, err)
		by := good
		if stranger {
			by = other
		}
		return certificate(t, dir, by, good, a, r(a)), certificate(t, dir, good, good, b, ike.Request{})
	}
}

var refusals = []refusal{
	{"wrong pre-shared key", func(t *testing.T, dir string, a, b netip.Addr) (string, string) {
		atA, _ := preshared(t, dir, a, b)
		_, atB := preshared(t, dir, a, b)
		return atA, atB
	}, denied, "MAC mismatched"},
	{"expired certificate", badly(func(netip.Addr) ike.Request {
		return ike.Request{From: time.Now().Add(-48 * time.Hour), Until: time.Now().Add(-24 * time.Hour)}
	}, false), denied, "certificate"},
	{"unknown authority", badly(func(netip.Addr) ike.Request { return ike.Request{} }, true), denied, "no trusted"},
	{"somebody else's certificate", func(t *testing.T, dir string, a, b netip.Addr) (string, string) {
		authority, err := ike.NewAuthority("authority")
		need(t, err)
		other := netip.MustParseAddr("2001:db8:ff::99")
		return certificate(t, dir, authority, authority, other, ike.Request{}) + "      local-id: " + other.String() + "\n",
			certificate(t, dir, authority, authority, b, ike.Request{})
	}, denied, "no matching peer config found"},
}

// Where the two ends do not believe each other nothing passes, both say why, and
// with the right keys it goes on. RFC 8213 3p and 3q.
func TestRFC8213_3_Refused(t *testing.T) {
	w := protected(t, "psk")
	right := [2]string{}
	right[0], right[1] = stanzas(preshared(t, w.Dir(), relayAddress, serverAddress))
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			outer := w.t
			w.under(t)
			defer w.under(outer)
			from := len(w.wire.lines())
			started := time.Now()
			w.rekeyed(stanzas(c.keys(t, w.Dir(), relayAddress, serverAddress)))
			f := w.busy()
			w.server.noticesSince(started, c.atServer)
			w.relay.noticesSince(started, c.atRelay)
			noticed := time.Since(started)
			if atClient, atServer := f.stop(); atClient+atServer+f.answers > 0 {
				t.Errorf("%d and %d messages of an intruder were taken, %d answered", atClient, atServer, f.answers)
			}
			w.wire.onlyESP(from)
			corrected := time.Now()
			w.rekeyed(right[0], right[1])
			w.settled()
			t.Logf("noticed after %v; with the right keys protected after %v", noticed, time.Since(corrected))
		})
	}
}

// rekeyed gives both ends other peers, and ends what they had negotiated.
func (w *world) rekeyed(relay, server string) {
	w.t.Helper()
	w.relay.configure(relay)
	w.server.configure(server)
	w.relay.reload()
	w.server.reload()
	_, err := w.relay.charon.Swanctl("--terminate", "--ike", "fairlead-relay-server")
	if err != nil {
		w.t.Logf("terminate: %v", err) // the change of keys may have ended it already
	}
}

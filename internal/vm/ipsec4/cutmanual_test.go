//go:build vm

package ipsec4_test

import (
	"testing"

	"fairlead/internal/system/protected"
)

// With manual keys, too, nothing passes in clear whatever is taken away. Where the
// keys are not the other end's, what is sent in ESP is not taken, and nothing is
// sent otherwise; with the right ones it goes on. RFC 8213 3b, 3m and 3p.
func TestRFC8213_3_FailsClosedManual4(t *testing.T) {
	w := newWorld(t)
	w.protect("manual", giaddr1)
	f := w.forger()
	w.cuts(f, []protected.Cut{protected.SAsDeleted, policiesDeleted, protected.GuardDeleted})

	atRelay, atServer := protected.ByHand(w.Net, server, giaddr1)
	w.relay.Configure(stanza("server", server, giaddr1) + atRelay)
	w.relay.Reload()
	from, rejected := len(w.wire.Lines()), w.server.XFRM("XfrmInStateProtoError")
	heardAtServer, heardAtClient := f.taken()
	stop := f.start()
	w.Until("packets fail authentication", func() bool {
		return w.server.XFRM("XfrmInStateProtoError") >= rejected+3
	})
	stop()
	if got, err := w.asks(w.c1, enough); err == nil {
		t.Errorf("the client got %s with keys that are not the server's", got)
	}
	if s, c := f.taken(); s != heardAtServer || c != heardAtClient {
		t.Errorf("taken in clear: %d messages at the server, %d at the client", s-heardAtServer, c-heardAtClient)
	}
	if _, esp := w.wire.OnlyESP(from); esp < 3 {
		t.Errorf("%d ESP packets, want at least the 3 that were rejected", esp)
	}
	w.server.Configure(stanza("relay", giaddr1, server) + atServer)
	w.server.Reload()
	w.leases(w.c1, "10.1.0.0/16")
}

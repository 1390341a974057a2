//go:build vm

package ipsec_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// once solicits once, and waits for the Advertise. Nothing is sent again, so a
// message that is lost on the way stays lost.
func (w *world) once() error {
	message := w.client.Message(dhcp6.Solicit, script.IAPD(1))
	sent, err := dhcp6.ParseMessage(message)
	if err != nil {
		return err
	}
	if err := w.client.Client.Send(message); err != nil {
		return err
	}
	for end := time.Now().Add(labtest.Patience); ; {
		p, err := w.client.Client.Receive(time.Until(end))
		if err != nil {
			return fmt.Errorf("an exchange was lost: %w", err)
		}
		if m, err := dhcp6.ParseMessage(p.Data); err == nil && m.TransactionID() == sent.TransactionID() {
			return nil
		}
	}
}

// withoutLoss runs exchanges, one after another, while something happens, which
// may ask for a few more to be completed first. None may be lost, and nothing
// pass in clear.
func (w *world) withoutLoss(what string, happen func(more func())) {
	w.T.Helper()
	w.becomesProtected()
	from := len(w.wire.Lines())
	end, ended := make(chan struct{}), make(chan error, 1)
	var count atomic.Int64
	go func() {
		for {
			select {
			case <-end:
				ended <- nil
				return
			default:
			}
			if err := w.once(); err != nil {
				ended <- err
				return
			}
			count.Add(1)
		}
	}()
	happen(func() {
		w.T.Helper()
		before := count.Load()
		w.Until("exchanges go on", func() bool { return count.Load() >= before+3 })
	})
	close(end)
	w.Need(<-ended)
	_, esp := w.wire.OnlyESP(from)
	if n := int(count.Load()); n == 0 || esp < 2*n {
		w.T.Errorf("%d exchanges, %d ESP packets", n, esp)
	}
	w.T.Logf("%s: %d exchanges, %d ESP packets", what, count.Load(), esp)
}

// SAs that live for seconds are renewed while exchanges go on, and none of these
// is lost (RFC 7296 section 2.8).
func TestRFC8213_3_RekeyUnderLoad(t *testing.T) {
	w := newWorld(t)
	w.keyed(true, func(n *rig.Net, server netip.Addr, relay ...netip.Addr) (string, string) {
		atRelay, atServer := protected.Preshared(n, server, relay...)
		return atRelay + "      lifetime: 10s\n", atServer + "      lifetime: 10s\n"
	})
	w.serve()
	w.relay.Start()
	w.server.Start()
	w.withoutLoss("rekeyed", func(func()) {
		for _, e := range []*protected.End{w.relay, w.server} {
			e.Becomes("three rekeys", func(h []api.Hop) bool { return len(h) == 1 && h[0].Rekeys >= 3 })
		}
	})
	if spis := w.wire.SPIs(0, relayAddress); len(spis) < 3 {
		t.Errorf("the relay sent under the SPIs %v, want at least three", spis)
	}
}

// Manual keys roll over by a second SPI: the receivers take both, the senders
// change over, the receivers forget the old one. No exchange is lost.
func TestRFC8213_3_ManualRollOver(t *testing.T) {
	w := newWorld(t)
	type keys struct {
		spi  int
		file string
	}
	stanza := func(out keys, in ...keys) string {
		text := fmt.Sprintf("    manual:\n      out: {spi: %d, key-file: %s}\n      in:\n", out.spi, out.file)
		for _, k := range in {
			text += fmt.Sprintf("        - {spi: %d, key-file: %s}\n", k.spi, k.file)
		}
		return text
	}
	fresh := func(spi int) keys { return keys{spi, protected.ManualKeys(w.Net)} }
	to, from := fresh(0x1001), fresh(0x2001)
	newTo, newFrom := fresh(0x1002), fresh(0x2002)
	configure := func(atRelay, atServer string) {
		relay, server := stanzas(atRelay, atServer)
		w.relay.Configure(relay)
		w.server.Configure(server)
	}
	configure(stanza(to, from), stanza(from, to))
	w.serve()
	w.relay.Start()
	w.server.Start()
	w.withoutLoss("rolled over", func(more func()) {
		for _, step := range [][2]string{
			{stanza(to, from, newFrom), stanza(from, to, newTo)},
			{stanza(newTo, from, newFrom), stanza(newFrom, to, newTo)},
			{stanza(newTo, newFrom), stanza(newFrom, newTo)},
		} {
			configure(step[0], step[1])
			w.relay.Reload()
			w.server.Reload()
			more()
		}
	})
	if spis := w.wire.SPIs(0, relayAddress); spis["0x00001001"] == 0 || spis["0x00001002"] == 0 || len(spis) != 2 {
		t.Errorf("the relay sent under the SPIs %v, want 0x1001 and 0x1002", spis)
	}
}

// strongSwan, relay and guard may be started in any order, stopped and killed:
// meanwhile nothing passes in clear, and then messages pass again. RFC 8213 3d.
func TestRFC8213_3_AnyOrder(t *testing.T) {
	w := newWorld(t)
	w.protect("psk")
	w.Need(w.relay.Charon.Stop())
	w.serve()
	w.relay.Start()
	w.client.Send(w.client.Message(dhcp6.Solicit, script.IAPD(1)))
	w.relay.Notices(time.Time{}, "strongSwan cannot be reached")
	w.server.Start()
	w.Need(w.relay.Charon.Start())
	w.becomesProtected()
	for _, c := range []struct {
		name        string
		first, then *protected.End
		ends        func(*lab.Proc) error
	}{
		{"relay, after both were stopped", w.relay, w.server, (*lab.Proc).Stop},
		{"guard, after both were killed", w.server, w.relay, (*lab.Proc).Kill},
	} {
		f := w.busy()
		w.Need(c.ends(c.first.Program.Proc()))
		w.Need(c.ends(c.then.Program.Proc()))
		c.first.Start()
		c.then.Start()
		w.relay.BecomesProtected()
		w.server.BecomesProtected()
		if atClient, atServer := f.stop(); atClient+atServer > 0 {
			t.Errorf("%s first: %d and %d messages taken in clear", c.name, atClient, atServer)
		}
		w.exchange()
	}
	w.wire.OnlyESP(0)
}

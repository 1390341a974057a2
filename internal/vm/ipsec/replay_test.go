//go:build vm

package ipsec_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"fairlead/internal/system/protected"
)

// recordedBy are the frames of a recording, as they were on the wire.
func (w *world) recordedBy(x *protected.Wire) (frames [][]byte) {
	w.T.Helper()
	b, err := os.ReadFile(x.Capture.File)
	w.Need(err)
	const head, each = 24, 16 // of the file, and of a packet, in the order of this machine
	for b = b[min(head, len(b)):]; len(b) >= each; {
		size := int(binary.NativeEndian.Uint32(b[8:]))
		if len(b) < each+size {
			break // still being written
		}
		frames = append(frames, b[each:each+size])
		b = b[each+size:]
	}
	return frames
}

// toServer reports whether a frame is ESP for the server.
func toServer(frame []byte) bool {
	const next, dest = 14 + 6, 14 + 24
	return len(frame) > dest+16 && frame[next] == 50 && bytes.Equal(frame[dest:dest+16], serverAddress.AsSlice())
}

// recorded has an exchange and returns the ESP frames that went to the server.
func (w *world) recorded() (sent [][]byte) {
	w.T.Helper()
	w.drained()
	before := len(w.recordedBy(w.wire))
	w.drained()
	w.Until("ESP for the server is recorded", func() bool {
		sent = nil
		for _, frame := range w.recordedBy(w.wire)[before:] {
			if toServer(frame) {
				sent = append(sent, frame)
			}
		}
		return len(sent) > 0
	})
	return sent
}

// Packets that were recorded and are sent again are rejected, and so are altered
// ones, where IKE has made the keys (RFC 4303 section 3.4.3).
func TestRFC8213_3_ReplayIsRejected(t *testing.T) {
	w := protectedWorld(t, "psk")
	sent := w.recorded()
	for _, c := range []struct {
		name, counter string
		frame         func([]byte) []byte
	}{
		{"again", "XfrmInStateSeqError", bytes.Clone},
		{"with a later number", "XfrmInStateProtoError", func(frame []byte) []byte {
			later := bytes.Clone(frame)
			binary.BigEndian.PutUint32(later[14+40+4:], 1000)
			return later
		}},
		{"under an SPI that there is not", "XfrmInNoStates", func(frame []byte) []byte {
			other := bytes.Clone(frame)
			binary.BigEndian.PutUint32(other[14+40:], 0x1234)
			return other
		}},
	} {
		before, received := w.server.XFRM(c.counter), len(w.scripted.Received())
		for _, frame := range sent {
			w.intruder.toServer.Put(c.frame(frame))
		}
		w.Until(c.name+": "+c.counter+" counts them", func() bool {
			return w.server.XFRM(c.counter) >= before+len(sent)
		})
		if now := len(w.scripted.Received()); now != received {
			t.Errorf("%s: the server has received %d messages", c.name, now-received)
		}
	}
	w.exchange()
}

// Manual keys cannot reject what is sent again: RFC 8213 section 4 warns of it,
// and so do we.
func TestRFC8213_4_ManualKeysKnowNoReplay(t *testing.T) {
	w := protectedWorld(t, "manual")
	sent := w.recorded()
	received := len(w.scripted.Received())
	for _, frame := range sent {
		w.intruder.toServer.Put(frame)
	}
	w.Until("a replayed packet is taken", func() bool {
		return len(w.scripted.Received()) >= received+len(sent)
	})
	for _, e := range []*protected.End{w.relay, w.server} {
		hops, err := e.Hops()
		w.Need(err)
		if len(hops[0].Warnings) == 0 || !strings.Contains(strings.Join(hops[0].Warnings, " "), "replay") {
			t.Errorf("%s warns of %q, not of replay", e.Node.Name, hops[0].Warnings)
		}
	}
}

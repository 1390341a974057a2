//go:build vm

package ipsec_test

import (
	"fmt"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/system/protected"
)

// What stands alone in the list of ESP proposals is negotiated, and used; what is
// shown is what the kernel has. RFC 8213 3j.
func TestRFC8213_3j_NegotiatedAlgorithms(t *testing.T) {
	w := newWorld(t)
	w.relay.Strongswan()
	w.server.Strongswan()
	w.serve()
	for i, c := range []struct{ proposal, shown, kernel string }{
		{"chacha20poly1305-ecp256", "CHACHA20_POLY1305", "aead rfc7539esp(chacha20,poly1305) of 36 octets, 128 bits"},
		{"aes128-sha256-ecp256", "AES_CBC-128/HMAC_SHA2_256_128", "auth-trunc hmac(sha256) of 32 octets, 128 bits; enc cbc(aes) of 16 octets"},
	} {
		keys := protected.PSK(w.Net, protected.Random(32)) + fmt.Sprintf("      esp: [%s]\n", c.proposal)
		relay, server := stanzas(keys, keys)
		if i == 0 {
			w.relay.Configure(relay)
			w.server.Configure(server)
			w.relay.Start()
			w.server.Start()
		} else {
			w.rekeyed(relay, server)
		}
		for _, e := range []*protected.End{w.relay, w.server} {
			e.Becomes(c.shown+" is shown", func(hops []api.Hop) bool { return hops[0].Protected && hops[0].Algorithms == c.shown })
		}
		var used map[string]string // by SPI, of packets that passed just now
		w.Until("packets pass under SAs that stay", func() bool {
			from := len(w.wire.Lines())
			w.exchange()
			kernel := algorithms(w.relay)
			used = make(map[string]string)
			for _, source := range []map[string]int{w.wire.SPIs(from, relayAddress), w.wire.SPIs(from, serverAddress)} {
				for spi := range source {
					used[spi] = kernel[spi]
				}
				if len(source) == 0 {
					return false
				}
			}
			for _, has := range used {
				if has == "" {
					return false // an SA that two negotiations at once had left over
				}
			}
			return true
		})
		for spi, has := range used {
			if has != c.kernel {
				t.Errorf("%s: SA %s has %s, want %s", c.proposal, spi, has, c.kernel)
			}
		}
	}
	w.wire.OnlyESP(0)
}

// algorithms are those of the kernel's SAs at an end, by SPI.
func algorithms(e *protected.End) map[string]string {
	e.Net.T.Helper()
	out := e.IP("-o xfrm state")
	found := make(map[string]string)
	for line := range strings.Lines(out) {
		f := strings.Fields(strings.ReplaceAll(line, `\`, " "))
		var spi string
		var all []string
		for i := range f {
			octets := func() int { return (len(f[i+2]) - len("0x")) / 2 }
			switch f[i] {
			case "spi":
				spi = f[i+1]
			case "aead", "auth-trunc":
				all = append(all, fmt.Sprintf("%s %s of %d octets, %s bits", f[i], f[i+1], octets(), f[i+3]))
			case "enc":
				all = append(all, fmt.Sprintf("%s %s of %d octets", f[i], f[i+1], octets()))
			}
		}
		found[spi] = strings.Join(all, "; ")
	}
	return found
}

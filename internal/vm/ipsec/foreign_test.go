//go:build vm

package ipsec_test

import (
	"fmt"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/ike"
	"fairlead/internal/system/protected"
)

// meets has the relay start, and fails unless it has an exchange in ESP with the other
// end, which is not fairlead's.
func (w *world) meets() {
	w.T.Helper()
	w.serve()
	w.relay.Start()
	w.relay.BecomesProtected()
	w.exchange()
	w.wire.WantESP(0, 2)
}

// The other end is somebody's, set up by hand with ip and nft alone.
func TestRFC8213_3_ForeignByHand(t *testing.T) {
	w := newWorld(t)
	keys := [2][2]string{{protected.Random(32), protected.Random(32)}, {protected.Random(32), protected.Random(32)}} // to the server, from the server
	var files [2]string
	for i, k := range keys {
		files[i] = protected.KeyFile(w.Net, "encryption "+k[0]+"\nintegrity "+k[1]+"\n")
	}
	relay, _ := stanzas(fmt.Sprintf("    manual:\n      out: {spi: 0x1001, key-file: %s}\n      in: {spi: 0x2001, key-file: %s}\n", files[0], files[1]), "")
	w.relay.Configure(relay)
	for i, at := range [][3]string{
		{relayAddress.String(), serverAddress.String(), "0x1001"},
		{serverAddress.String(), relayAddress.String(), "0x2001"},
	} {
		w.server.IP("xfrm state add src %s dst %s proto esp spi %s mode transport reqid 7 enc cbc(aes) 0x%s auth-trunc hmac(sha256) 0x%s 128",
			at[0], at[1], at[2], keys[i][0], keys[i][1])
		direction := [2]string{"in", "out"}[i]
		w.server.IP("xfrm policy add src %s dst %s proto udp sport 547 dport 547 dir %s tmpl proto esp mode transport reqid 7 level required",
			at[0], at[1], direction)
	}
	_, err := w.s.Feed(fmt.Sprintf(`table inet hand {
	chain in {
		type filter hook input priority filter; policy accept;
		ip6 saddr %[1]s udp dport 547 meta ipsec missing drop
	}
	chain out {
		type filter hook output priority filter; policy accept;
		ip6 daddr %[1]s udp dport 547 rt ipsec missing drop
	}
}
`, relayAddress), "nft", "-f", "-")
	w.Need(err)
	w.meets()
}

// The other end is a strongSwan set up by its administrator, without fairlead.
func TestRFC8213_3_ForeignStrongSwan(t *testing.T) {
	w := newWorld(t)
	key := protected.Random(32)
	w.relay.Strongswan()
	w.server.Strongswan()
	relay, _ := stanzas(protected.PSK(w.Net, key), "")
	w.relay.Configure(relay)
	w.Need(w.server.Charon.Load(fmt.Sprintf(`connections {
	relay {
		version = 2
		local_addrs = %[1]s
		remote_addrs = %[2]s
		local {
			auth = psk
		}
		remote {
			auth = psk
		}
		children {
			dhcp {
				mode = transport
				local_ts = dynamic[udp/547]
				remote_ts = dynamic[udp/547]
				start_action = trap
			}
		}
	}
}
secrets {
	ike-relay {
		id = %[2]s
		secret = 0x%[3]s
	}
}
`, serverAddress, relayAddress, key)))
	w.meets()
	// What is the administrator's stays as it is, there and here.
	out, err := w.server.Charon.Swanctl("--list-conns")
	w.Need(err)
	if !strings.Contains(out, "relay: IKEv2") {
		t.Errorf("the other's connection is gone:\n%s", out)
	}
}

// The other end is libreswan.
func TestRFC8213_3_ForeignLibreswan(t *testing.T) {
	w := newWorld(t)
	key := protected.Random(32)
	w.relay.Strongswan()
	relay, _ := stanzas(protected.PSK(w.Net, key), "")
	w.relay.Configure(relay)
	pluto, err := ike.StartLibreswan(w.s.Node, fmt.Sprintf(`conn relay
	left=%s
	right=%s
	leftprotoport=17/547
	rightprotoport=17/547
	type=transport
	authby=secret
	ikev2=insist
	auto=ondemand
`, serverAddress, relayAddress), fmt.Sprintf("%s %s : PSK 0x%s\n", serverAddress, relayAddress, key))
	w.Need(err)
	w.meets()
	// It goes away without a word, and comes back without knowing us.
	w.Need(pluto.Proc().Kill())
	w.relay.Becomes("its silence is noticed", func(h []api.Hop) bool { return !h[0].Protected })
}

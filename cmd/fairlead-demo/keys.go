package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"fairlead/internal/lab/ike"
)

// preshared makes a key for a pair of hosts, and returns the part about it that both have in
// their stanzas.
func (c *chain) preshared() (string, error) {
	key := make([]byte, 32)
	rand.Read(key)
	file := filepath.Join(c.net.Dir(), "relaya-relayb.psk")
	if err := os.WriteFile(file, []byte("0x"+hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	return "    protection: ipsec\n    ike:\n      psk-file: " + file + "\n", nil
}

// certified makes certificates for relayb and the server, and returns the part about its own
// certificate that each has in its stanza.
func (c *chain) certified() (stanzas [2]string, err error) {
	authority, err := ike.NewAuthority("authority")
	if err != nil {
		return stanzas, err
	}
	for i, host := range []struct {
		name    string
		address netip.Addr
	}{{"relayb", addressAbove}, {"server", addressServer}} {
		own, err := authority.Issue(ike.Request{Name: host.name, Addresses: []netip.Addr{host.address}})
		if err != nil {
			return stanzas, err
		}
		files, err := own.Write(c.net.Dir(), authority)
		if err != nil {
			return stanzas, err
		}
		stanzas[i] = "    protection: ipsec\n" + files.Stanza()
	}
	return stanzas, nil
}

// viaCharon returns the part of a configuration that says where strongSwan's socket is.
func viaCharon(at *ike.Charon) string { return "ipsec:\n  vici-socket: " + at.Socket + "\n" }

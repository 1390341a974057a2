package ipsec

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/relay"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// rig is a network with a relay and a server, whose programs may be running.
type rig struct {
	*network.Network
	fairlead *relay.Relay
	guard    *relay.Relay // nil without IPsec
	charons  []*ike.Charon
}

// newRig builds the network, and starts what is there before Fairlead: the server and, if the hop
// is to be protected, strongSwan at both ends.
func newRig(run *harness.Run, ipsec bool) (*rig, error) {
	n, err := network.New(run, network.Options{Generator: run.Fairlead})
	if err != nil {
		return nil, err
	}
	r := &rig{Network: n}
	return r, r.configure(run.Fairlead, ipsec)
}

// configure prepares relay and guard, and starts strongSwan.
func (r *rig) configure(binary string, ipsec bool) (err error) {
	stanza := func(name, role string, address, local, link, protection string) string {
		return fmt.Sprintf("log:\n  level: warn\npeers:\n  - name: %s\n    address: %s\n    local: %s\n    role: %s\n    interfaces: [%s]\n    protection: %s\n",
			name, address, local, role, link, protection)
	}
	atRelay := stanza("server", "server", network.ServerAddress, network.RelayAddress, "u0", "none")
	if ipsec {
		key, err := r.key()
		if err != nil {
			return err
		}
		for _, d := range []*lab.Node{r.Relay, r.Srv} {
			c, err := ike.Start(d, ike.Config{})
			if err != nil {
				return err
			}
			r.charons = append(r.charons, c)
		}
		protection := "ipsec\n    ike:\n      psk-file: " + key
		via := func(c *ike.Charon) string { return "ipsec:\n  vici-socket: " + c.Socket + "\n" }
		atRelay = stanza("server", "server", network.ServerAddress, network.RelayAddress, "u0", protection) + via(r.charons[0])
		r.guard, err = relay.New(r.Srv, relay.Config{
			Binary: binary, Name: "guard", Guard: true, Text: stanza("relay", "relay", network.RelayAddress, network.ServerAddress, "s0", protection) + via(r.charons[1]),
		})
		if err != nil {
			return err
		}
	}
	r.fairlead, err = relay.New(r.Relay, relay.Config{Binary: binary, Text: atRelay + link})
	return err
}

// link is the configuration of the clients' link. There is no limit on rates.
const link = `relay6:
  links:
    - match: d0
      rate:
        link: unlimited
        source: unlimited
        newcomers: unlimited
`

// key writes a pre-shared key into a file, and returns its path.
func (r *rig) key() (file string, err error) {
	key := make([]byte, 32)
	rand.Read(key)
	file = filepath.Join(r.Dir(), "psk")
	return file, os.WriteFile(file, []byte("0x"+hex.EncodeToString(key)+"\n"), 0o600)
}

// launch starts relay and guard, and does not wait for them.
func (r *rig) launch() error {
	err := r.fairlead.Launch()
	if err == nil {
		r.Processes = append(r.Processes, r.fairlead.Proc())
	}
	if err == nil && r.guard != nil {
		if err = r.guard.Launch(); err == nil {
			r.Processes = append(r.Processes, r.guard.Proc())
		}
	}
	return err
}

// ready waits until the relay is ready, and until all hops that are to be protected are
// protected.
func (r *rig) ready() error {
	if err := r.fairlead.Ready(); err != nil || r.guard == nil {
		return err
	}
	return lab.Until(network.Patience, "all is protected", r.protected)
}

// protected reports whether relay and guard report their hop as protected.
func (r *rig) protected() bool {
	if ok, err := r.relaySays(); err != nil || !ok {
		return false
	}
	var status struct{ Peers []peer }
	if err := ask(r.guard, "v1/status", &status); err != nil {
		return false
	}
	return allProtected(status.Peers)
}

// relaySays returns whether the relay reports its hop as protected.
func (r *rig) relaySays() (bool, error) {
	var peers []peer
	if err := ask(r.fairlead, "v1/peers", &peers); err != nil {
		return false, err
	}
	return allProtected(peers), nil
}

// peer is what the control interface shows of a peer.
type peer struct {
	Protected bool `json:"protected"`
}

func allProtected(peers []peer) bool {
	for _, p := range peers {
		if !p.Protected {
			return false
		}
	}
	return len(peers) > 0
}

// ask sends a request to a program's control socket.
func ask(r *relay.Relay, path string, into any) error {
	code, body, err := r.Call(http.MethodGet, path, "")
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", path, code, strings.TrimSpace(string(body)))
	}
	return json.Unmarshal(body, into)
}

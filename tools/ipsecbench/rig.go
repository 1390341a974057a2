package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/relay"
)

// Addresses of the rig.
var (
	relayAddress  = netip.MustParseAddr("2001:db8:ff::1")
	serverAddress = netip.MustParseAddr("2001:db8:ff::2")
)

// patience is for what must happen in a machine that may be emulated.
const patience = 60 * time.Second

// rig is a network with a relay and a server, whose programs may be running.
type rig struct {
	net             *lab.Net
	gen, relay, srv *lab.Node
	fairlead        *relay.Relay
	guard           *relay.Relay // nil without IPsec
	charons         []*ike.Charon
}

// newRig builds the network and starts what is there before Fairlead: the server,
// and, if the hop is to be protected, strongSwan at both ends.
func newRig(binary string, ipsec bool) (*rig, error) {
	n, err := lab.New()
	if err != nil {
		return nil, err
	}
	r := &rig{net: n}
	err = r.build()
	if err == nil {
		err = r.configure(binary, ipsec)
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return r, nil
}

func (r *rig) build() error {
	for name, node := range map[string]**lab.Node{"gen": &r.gen, "relay": &r.relay, "srv": &r.srv} {
		d, err := r.net.Node(name)
		if err != nil {
			return err
		}
		*node = d
	}
	err := errors.Join(
		r.net.Veth(r.gen, "g0", r.relay, "d0"),
		r.net.Veth(r.relay, "u0", r.srv, "s0"))
	if err != nil {
		return err
	}
	err = errors.Join(
		r.relay.Address("d0", "2001:db8:1::1/64"),
		r.relay.Address("u0", relayAddress.String()+"/64"),
		r.srv.Address("s0", serverAddress.String()+"/64"))
	if err != nil {
		return err
	}
	_, err = r.gen.LinkLocal("g0")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = r.srv.Start(lab.Command{Name: "reflector", Args: []string{self, "reflector", serverAddress.String()}})
	return err
}

// configure prepares relay and guard, and starts strongSwan.
func (r *rig) configure(binary string, ipsec bool) (err error) {
	stanza := func(name, role string, address, local netip.Addr, link, protection string) string {
		return fmt.Sprintf("log:\n  level: warn\npeers:\n  - name: %s\n    address: %s\n    local: %s\n    role: %s\n    interfaces: [%s]\n    protection: %s\n",
			name, address, local, role, link, protection)
	}
	atRelay := stanza("server", "server", serverAddress, relayAddress, "u0", "none")
	if ipsec {
		key, err := r.key()
		if err != nil {
			return err
		}
		for _, d := range []*lab.Node{r.relay, r.srv} {
			c, err := ike.Start(d, ike.Config{})
			if err != nil {
				return err
			}
			r.charons = append(r.charons, c)
		}
		protection := "ipsec\n    ike:\n      psk-file: " + key
		via := func(c *ike.Charon) string { return "ipsec:\n  vici-socket: " + c.Socket + "\n" }
		atRelay = stanza("server", "server", serverAddress, relayAddress, "u0", protection) + via(r.charons[0])
		r.guard, err = relay.New(r.srv, relay.Config{
			Binary: binary, Name: "guard", Guard: true, Text: stanza("relay", "relay", relayAddress, serverAddress, "s0", protection) + via(r.charons[1]),
		})
		if err != nil {
			return err
		}
	}
	r.fairlead, err = relay.New(r.relay, relay.Config{Binary: binary, Text: atRelay + link})
	return err
}

// link is the clients' link. Clients are not held back.
const link = `relay6:
  links:
    - match: d0
      rate:
        link: unlimited
        source: unlimited
        newcomers: unlimited
`

// key makes a pre-shared key.
func (r *rig) key() (file string, err error) {
	key := make([]byte, 32)
	rand.Read(key)
	file = filepath.Join(r.net.Dir(), "psk")
	return file, os.WriteFile(file, []byte("0x"+hex.EncodeToString(key)+"\n"), 0o600)
}

// launch starts relay and guard, and waits for neither.
func (r *rig) launch() error {
	var err error
	if r.guard != nil {
		err = r.guard.Launch()
	}
	return errors.Join(err, r.fairlead.Launch())
}

// settled waits until the relay is ready, and all is protected that shall be.
func (r *rig) settled() error {
	if err := r.fairlead.Ready(); err != nil {
		return err
	}
	return lab.Until(patience, "all is protected", r.protected)
}

// protected reports whether relay and guard say that their hop is.
func (r *rig) protected() bool {
	ok, err := r.relaySays()
	if err != nil || !ok || r.guard == nil {
		return err == nil && ok
	}
	var status struct{ Peers []peer }
	if err := ask(r.guard, "v1/status", &status); err != nil {
		return false
	}
	return allProtected(status.Peers)
}

// relaySays is whether the relay says that its hop is protected.
func (r *rig) relaySays() (bool, error) {
	var peers []peer
	if err := ask(r.fairlead, "v1/peers", &peers); err != nil {
		return false, err
	}
	return allProtected(peers), nil
}

// peer is what the control interface says of a peer.
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

// ask asks a program through its control socket.
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

// rest stops what runs in the rig while another has its turn, or lets it go on.
func (r *rig) rest(rest bool) error {
	s := syscall.SIGCONT
	if rest {
		s = syscall.SIGSTOP
	}
	err := r.fairlead.Proc().Signal(s)
	if r.guard != nil {
		err = errors.Join(err, r.guard.Proc().Signal(s))
	}
	return err
}

// close ends everything in the rig.
func (r *rig) close() error {
	_ = r.rest(false) // a stopped program does not hear that it shall end
	return r.net.Close()
}

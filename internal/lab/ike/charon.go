package ike

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fairlead/internal/lab"
)

// ready is how long charon may take to open its socket.
const ready = 3 * time.Minute

// plugins are the plugins that charon loads: those of Debian's packages that are of use for IKEv2
// between two hosts.
const plugins = "random nonce aes sha1 sha2 hmac md5 kdf cmac xcbc gcm ccm ctr chapoly curve25519 gmp openssl drbg mgf1 " +
	"pem pkcs1 pkcs8 pubkey x509 revocation constraints kernel-netlink socket-default vici counters"

// Config says in what a charon differs from the default.
type Config struct {
	// Name names the program in its node; "charon" if empty.
	Name string
	// Charon is added to the section charon of strongswan.conf, for instance
	// "retransmit_tries = 1".
	Charon string
}

// Charon is strongSwan's daemon in a node.
type Charon struct {
	Node   *lab.Node
	Name   string
	Dir    string // the folder of its files
	Socket string // path of its VICI socket

	proc *lab.Proc
}

// New prepares a charon in the node, without starting it.
func New(d *lab.Node, config Config) (*Charon, error) {
	c := &Charon{Node: d, Name: config.Name}
	if c.Name == "" {
		c.Name = "charon"
	}
	var err error
	if c.Dir, err = d.Folder(c.Name); err != nil {
		return nil, fmt.Errorf("ike: %w", err)
	}
	c.Socket = filepath.Join(c.Dir, "charon.vici")
	text := fmt.Sprintf(`charon {
	load = %s
	install_routes = no
	%s
	plugins {
		vici {
			socket = unix://%s
		}
	}
	filelog {
		stderr {
			default = 1
			flush_line = yes
			time_format = %%T
		}
	}
}
swanctl {
	load = pem pkcs1 pkcs8 x509 openssl
}
`, plugins, strings.ReplaceAll(config.Charon, "\n", "\n\t"), c.Socket)
	if err := os.WriteFile(c.settings(), []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("ike: %w", err)
	}
	return c, nil
}

// Start prepares a charon in the node and starts it.
func Start(d *lab.Node, config Config) (*Charon, error) {
	c, err := New(d, config)
	if err != nil {
		return nil, err
	}
	return c, c.Start()
}

// settings returns the path of its strongswan.conf.
func (c *Charon) settings() string { return filepath.Join(c.Dir, "strongswan.conf") }

// Start starts a charon that has been prepared, or has ended, and waits until its
// socket takes connections. It begins without connections and keys.
func (c *Charon) Start() error {
	_ = os.Remove(c.Socket) // a charon that was killed leaves its socket behind
	var err error
	c.proc, err = c.Node.Start(lab.Command{
		Name: c.Name,
		Args: []string{"/usr/lib/ipsec/charon"},
		Env:  []string{"STRONGSWAN_CONF=" + c.settings()},
		// Its process id is in a file there: a second charon would not start.
		Private: []string{"/run"},
	})
	if err != nil {
		return err
	}
	var answer error
	late := lab.Until(ready, c.Name+" listens", func() bool {
		var conn net.Conn
		if conn, answer = net.Dial("unix", c.Socket); answer == nil {
			answer = conn.Close()
		}
		return answer == nil || !c.proc.Running()
	})
	if late != nil || answer != nil {
		return fmt.Errorf("ike: %s in %s does not listen: %w\n%s", c.Name, c.Node.Name, answer, c.proc.Log())
	}
	return nil
}

// Proc returns the program as it runs now.
func (c *Charon) Proc() *lab.Proc { return c.proc }

// Log returns what this run has written so far.
func (c *Charon) Log() string { return c.proc.Log() }

// Stop ends charon in order: it tells its peers, and removes its SAs and policies from the
// kernel.
func (c *Charon) Stop() error { return c.proc.Stop() }

// Kill ends charon as a crash does. Its SAs and policies stay in the kernel.
func (c *Charon) Kill() error { return c.proc.Kill() }

// Swanctl runs swanctl with these arguments and returns what it printed.
func (c *Charon) Swanctl(args ...string) (string, error) {
	all := append([]string{"env", "STRONGSWAN_CONF=" + c.settings(), "SWANCTL_DIR=" + c.Dir, "swanctl"}, args...)
	return c.Node.Run(append(all, "--uri", "unix://"+c.Socket)...)
}

// folders are the folders that swanctl looks for beside its file.
var folders = []string{
	"x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa", "ecdsa", "bliss", "pkcs8", "pkcs12", "conf.d",
}

// Load gives charon a text in the form of swanctl.conf, which replaces what it was given before,
// as "swanctl --load-all" does. Names of files in the text are looked for in folders below Dir:
// x509, x509ca, private.
func (c *Charon) Load(text string) error {
	for _, folder := range folders {
		if err := os.MkdirAll(filepath.Join(c.Dir, folder), 0o700); err != nil {
			return fmt.Errorf("ike: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "swanctl.conf"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("ike: %w", err)
	}
	_, err := c.Swanctl("--load-all", "--noprompt")
	return err
}

// Install puts a credential, and the authorities that its owner trusts, where Load finds them:
// NAME.pem in x509 and private, CA-NAME.pem in x509ca.
func (c *Charon) Install(own *Credential, trusted ...*Authority) error {
	files := map[string][]byte{
		filepath.Join("x509", own.Name+".pem"):    own.CertificatePEM(),
		filepath.Join("private", own.Name+".pem"): own.KeyPEM(),
	}
	for _, a := range trusted {
		files[filepath.Join("x509ca", "CA-"+a.Name+".pem")] = a.CertificatePEM()
	}
	for name, text := range files {
		path := filepath.Join(c.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("ike: %w", err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return fmt.Errorf("ike: %w", err)
		}
	}
	return nil
}

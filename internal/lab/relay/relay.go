// Package relay runs the fairlead program in a node of a network. The program has a configuration
// text, and a state folder that stays when the process ends, so that a test can kill it and start
// it again.
//
// The package knows the program as an operator does: its command line, its sockets, its signals
// and what it tells systemd. It imports no package of the program.
//
// A Relay may be used from several goroutines, as long as it is not being
// started or stopped meanwhile.
package relay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"fairlead/internal/lab"
)

// ready is how long the program may take to start or to reload.
const ready = 3 * time.Minute

// Config says what to run.
type Config struct {
	// Binary is the path of the program; see Build.
	Binary string
	// Text is the configuration. The keys state and control are added if the
	// text has none.
	Text string
	// Env is added to the program's environment.
	Env []string
	// Name is the name of its folder in the node: "fairlead" if empty.
	Name string
	// Guard makes it run "fairlead guard" in place of "fairlead run". Then Text is a guard's
	// configuration, and there is no state folder.
	Guard bool
}

// Relay is a fairlead in a node. It runs after Start, and again after Start
// following Kill or Stop.
type Relay struct {
	Node   *lab.Node
	Dir    string
	File   string // the configuration
	State  string // the state folder
	Socket string // the control socket

	config Config
	proc   *lab.Proc
	notify *notifications
}

// Build returns the path of the program: the value of FAIRLEAD_BIN, or else a program that is
// built now. Call remove when the program is no longer needed.
func Build() (binary string, remove func(), err error) {
	if binary = os.Getenv("FAIRLEAD_BIN"); binary != "" {
		return binary, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "fairlead-build-")
	if err != nil {
		return "", nil, fmt.Errorf("relay: build: %w", err)
	}
	remove = func() { os.RemoveAll(dir) }
	binary = filepath.Join(dir, "fairlead")
	cmd := exec.Command("go", "build", "-o", binary, "fairlead/cmd/fairlead")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("relay: build: %w: %s", err, out)
	}
	return binary, remove, nil
}

// Standard returns a configuration for the relay of a topology: the server, the access links, and
// defaults for everything else.
func Standard(t *lab.Topology) string {
	links := map[lab.Access]string{lab.Cables: "d*", lab.Switch: "br0", lab.PPP: "ppp*"}
	return fmt.Sprintf(`peers:
  - name: server
    address: %s
    role: server
    interfaces: [u0]
    protection: none
relay6:
  links:
    - match: %q
`, lab.ServerAddress, links[t.Plan.Access])
}

// New prepares a fairlead in the node, without starting it.
func New(d *lab.Node, c Config) (*Relay, error) {
	if c.Name == "" {
		c.Name = "fairlead"
	}
	dir, err := d.Folder(c.Name)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	r := &Relay{
		Node: d, Dir: dir, config: c,
		File:   filepath.Join(dir, "fairlead.yaml"),
		State:  filepath.Join(dir, "state"),
		Socket: filepath.Join(dir, "control.sock"),
	}
	if err := os.MkdirAll(r.State, 0o700); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	if r.notify, err = listenNotifications(filepath.Join(dir, "notify.sock")); err != nil {
		return nil, err
	}
	d.Net.OnClose(r.notify.close)
	return r, r.Write(c.Text)
}

// Start is New and Relay.Start.
func Start(d *lab.Node, c Config) (*Relay, error) {
	r, err := New(d, c)
	if err != nil {
		return nil, err
	}
	return r, r.Start()
}

// Write replaces the configuration file; the program reads it when it is
// started or told to reload.
func (r *Relay) Write(text string) error {
	added := map[string]string{"control": "control:\n  socket: " + r.Socket + "\n"}
	if !r.config.Guard {
		added["state"] = "state: " + r.State + "\n"
	}
	for key, value := range added {
		if !regexp.MustCompile(`(?m)^` + key + `:`).MatchString(text) {
			text = value + text
		}
	}
	if err := os.WriteFile(r.File, []byte(text), 0o644); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

// Launch starts the program and does not wait for it.
func (r *Relay) Launch() error {
	r.notify.forget()
	what := "run"
	if r.config.Guard {
		what = "guard"
	}
	var err error
	r.proc, err = r.Node.Start(lab.Command{
		Name: r.config.Name,
		Args: []string{r.config.Binary, what, "--config", r.File},
		Env:  append([]string{"NOTIFY_SOCKET=" + r.notify.path}, r.config.Env...),
	})
	return err
}

// Start starts the program and waits until it says that it is ready.
func (r *Relay) Start() error {
	if err := r.Launch(); err != nil {
		return err
	}
	return r.Ready()
}

// Ready waits until the program, once launched, says that it is ready.
func (r *Relay) Ready() error {
	return r.heard("READY=1")
}

// heard waits until the program has told systemd a line.
func (r *Relay) heard(line string) error {
	err := lab.Until(ready, "fairlead says "+line, func() bool {
		return r.notify.heard(line) || !r.proc.Running()
	})
	if err == nil && !r.notify.heard(line) {
		err = fmt.Errorf("relay: fairlead ended without saying %s", line)
	}
	if err != nil {
		log := r.proc.Log()
		return fmt.Errorf("%w\n%s", err, log[max(0, len(log)-4000):])
	}
	return nil
}

// Proc returns the program as it was last started.
func (r *Relay) Proc() *lab.Proc { return r.proc }

// Kill ends the program at once: kill -9.
func (r *Relay) Kill() error { return r.proc.Kill() }

// Stop asks the program to end, and fails if it does not end well.
func (r *Relay) Stop() error {
	if err := r.proc.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return r.proc.Wait(ready)
}

// Reload gives the program a new configuration to read, and waits until it says that it has
// finished, even if it refuses the configuration.
func (r *Relay) Reload(text string) error {
	if err := r.Write(text); err != nil {
		return err
	}
	r.notify.forget()
	if err := r.proc.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	if err := r.heard("RELOADING=1"); err != nil {
		return err
	}
	return r.heard("READY=1")
}

// CLI runs a fairlead command that talks to the running relay, and returns what
// it prints.
func (r *Relay) CLI(args ...string) (string, error) {
	all := append([]string{r.config.Binary}, args...)
	return r.Node.Run(append(all, "--socket", r.Socket)...)
}

// Call sends a request to the control interface, and returns the status and the body of the
// answer. The body of the request is JSON, or empty.
func (r *Relay) Call(method, path, body string) (int, []byte, error) {
	client := http.Client{
		Timeout: ready,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", r.Socket)
			},
		},
	}
	request, err := http.NewRequest(method, "http://fairlead/"+strings.TrimPrefix(path, "/"), bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, fmt.Errorf("relay: %w", err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("relay: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

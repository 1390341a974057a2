package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// made counts the networks of this process, so that each has its own prefix.
var made atomic.Int64

// Net is a set of nodes, the links between them and the programs in them.
type Net struct {
	prefix string
	dir    string
	keep   bool
	warden *warden

	mu      sync.Mutex // guards all following fields
	nodes   []*Node
	procs   []*Proc
	closers []func() error
	closed  bool
}

// New makes an empty network. Its files live in a temporary folder that Close
// removes, or, if FAIRLEAD_LAB_DIR names a folder, in a subfolder that stays.
func New() (*Net, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("lab: network namespaces need root")
	}
	n := &Net{prefix: fmt.Sprintf("fl%d.%d-", os.Getpid(), made.Add(1))}
	base := os.Getenv("FAIRLEAD_LAB_DIR")
	n.keep = base != ""
	if n.keep {
		if err := os.MkdirAll(base, 0o755); err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
	}
	dir, err := os.MkdirTemp(base, "fairlead-lab-")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	n.dir = dir
	// Daemons that give up root still have to reach their files below this folder.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	doomed := dir
	if n.keep {
		doomed = ""
	}
	if n.warden, err = startWarden(n.prefix, doomed); err != nil {
		return nil, err
	}
	return n, nil
}

// TB is the part of testing.TB that ForTest needs. (The demo must not contain the testing
// package.)
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// ForTest makes a network that exists as long as the test runs. If the test fails, the ends of
// all program logs are written to the test's log.
func ForTest(t TB) *Net {
	t.Helper()
	n, err := New()
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", n.Logs(40))
		}
		if err := n.Close(); err != nil {
			t.Logf("lab: close: %v", err)
		}
	})
	return n
}

// Dir returns the folder of the network's files.
func (n *Net) Dir() string { return n.dir }

// Node makes a namespace. The name is short, of letters and digits, and unique
// in the network; the namespace's own name (for `ip netns exec`) is
// Node.Namespace.
//
// Router advertisements are not accepted and duplicate address detection is
// off, so that link-local addresses work at once.
func (n *Net) Node(name string) (*Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, fmt.Errorf("lab: node %s: the network is closed", name)
	}
	if slices.ContainsFunc(n.nodes, func(d *Node) bool { return d.Name == name }) {
		return nil, fmt.Errorf("lab: node %s: exists already", name)
	}
	d, err := newNode(n, name)
	if err != nil {
		return nil, fmt.Errorf("lab: node %s: %w", name, err)
	}
	n.nodes = append(n.nodes, d)
	if err := d.prepare(); err != nil {
		return nil, fmt.Errorf("lab: node %s: %w", name, err)
	}
	return d, nil
}

// OnClose makes Close call f before it ends the programs. Functions that were added later are
// called first.
func (n *Net) OnClose(f func() error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closers = append(n.closers, f)
}

// Logs returns the last lines of every program's log, as text for people.
func (n *Net) Logs(lines int) string {
	n.mu.Lock()
	procs := slices.Clone(n.procs)
	n.mu.Unlock()
	var b strings.Builder
	seen := map[string]bool{}
	for _, p := range procs {
		if seen[p.LogFile] {
			continue
		}
		seen[p.LogFile] = true
		text, _ := os.ReadFile(p.LogFile)
		all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		if cut := len(all) - lines; cut > 0 {
			all = append([]string{fmt.Sprintf("... %d lines before", cut)}, all[cut:]...)
		}
		fmt.Fprintf(&b, "--- %s/%s\n%s\n", p.Node.Name, p.Name, strings.Join(all, "\n"))
	}
	return b.String()
}

// Close ends all programs, removes the namespaces with all that is in them, and deletes the
// files. It does as much as it can, and returns the errors. A second Close does nothing.
func (n *Net) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	closers, procs, nodes := n.closers, n.procs, n.nodes
	n.mu.Unlock()

	var errs []error
	for _, f := range slices.Backward(closers) {
		errs = append(errs, f())
	}
	stopAll(procs)
	errs = append(errs, killInside(nodes))
	for _, d := range nodes {
		errs = append(errs, d.remove())
	}
	errs = append(errs, n.warden.dismiss())
	if !n.keep {
		errs = append(errs, os.RemoveAll(n.dir))
	}
	return errors.Join(errs...)
}

// folder makes and returns a folder of the network's own.
func (n *Net) folder(parts ...string) (string, error) {
	dir := filepath.Join(append([]string{n.dir}, parts...)...)
	return dir, os.MkdirAll(dir, 0o755)
}

func (n *Net) track(p *Proc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.procs = append(n.procs, p)
}

package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// grace is how long a program may take to end after SIGTERM.
const grace = 5 * time.Second

// Command says what to start in a node.
type Command struct {
	// Name names the program's folder and log in the node. A later program may take the name of
	// one that has ended: it finds the same private folders, and its log is appended to the same
	// file.
	Name string
	// Args is the program and its arguments.
	Args []string
	// Env is added to our own environment.
	Env []string
	// Private lists folders of the machine of which the program gets versions of its own, which
	// are empty at first: see Node.Private.
	Private []string
}

// Proc is a program that was started in a node.
type Proc struct {
	Name    string
	Node    *Node
	Dir     string // the program's folder
	LogFile string // the file with its standard output and standard error

	cmd  *exec.Cmd
	from int64 // where the part of this run begins in the log
	done chan struct{}
	exit error // its exit status as an error; valid when done is closed
}

// startScript mounts private folders in the place of those of the machine, in a mount namespace
// of its own, leaves the AppArmor profile that the machine may have for the program (which
// forbids files in other places than usual), and starts the program in its own place.
const startScript = `
while [ "$1" != -- ]; do
	mount -o bind "$1" "$2" || exit 126
	shift 2
done
shift
{ echo 'exec unconfined' >/proc/self/attr/exec; } 2>/dev/null || :
exec "$@"
`

// Folder makes and returns the folder of the program of that name, so that its configuration can
// be written before it is started.
func (d *Node) Folder(program string) (string, error) {
	return d.Net.folder(d.Name, program)
}

// Private makes and returns the folder that a program of that name will see in place of the
// machine's folder.
func (d *Node) Private(program, folder string) (string, error) {
	return d.Net.folder(d.Name, program, "private", folder)
}

// Start starts a program in the node, with an empty standard input. Net.Close ends it, if it has
// not ended before.
func (d *Node) Start(c Command) (*Proc, error) {
	dir, err := d.Folder(c.Name)
	if err != nil {
		return nil, fmt.Errorf("lab: start %s: %w", c.Name, err)
	}
	p := &Proc{
		Name: c.Name, Node: d, Dir: dir, LogFile: filepath.Join(dir, "log"),
		done: make(chan struct{}),
	}
	args := []string{"sh", "-c", startScript, "sh"}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if len(c.Private) > 0 {
		attr.Unshareflags = syscall.CLONE_NEWNS
		for _, folder := range c.Private {
			own, err := d.Private(c.Name, folder)
			if err != nil {
				return nil, fmt.Errorf("lab: start %s: %w", c.Name, err)
			}
			args = append(args, own, folder)
		}
	}
	args = append(append(args, "--"), c.Args...)
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lab: start %s: %w", c.Name, err)
	}
	defer log.Close()
	if p.from, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, fmt.Errorf("lab: start %s: %w", c.Name, err)
	}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Dir = dir
	p.cmd.SysProcAttr = attr
	if err := d.Do(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("lab: start %s in %s: %w", c.Name, d.Name, err)
	}
	d.Net.track(p)
	go func() {
		p.exit = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Pid returns the program's process id.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Running reports whether the program still runs.
func (p *Proc) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits until the program ends. The error has its exit status, or says that the program
// still runs.
func (p *Proc) Wait(limit time.Duration) error {
	select {
	case <-p.done:
		if p.exit != nil {
			return fmt.Errorf("%s: %w", p.Name, p.exit)
		}
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%s: still runs after %v", p.Name, limit)
	}
}

// Signal sends a signal to the program.
func (p *Proc) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("%s: signal %v: %w", p.Name, sig, err)
	}
	return nil
}

// Stop ends the program with SIGTERM, or with SIGKILL if it does not end in time. It is no error
// if the program has ended already.
func (p *Proc) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		return p.Kill()
	}
}

// Kill ends the program at once, as a crash would, and waits until it is gone.
func (p *Proc) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		return fmt.Errorf("%s: still there after SIGKILL", p.Name)
	}
}

// Log returns what this run of the program has written so far.
func (p *Proc) Log() string {
	file, err := os.Open(p.LogFile)
	if err != nil {
		return ""
	}
	defer file.Close()
	if _, err := file.Seek(p.from, io.SeekStart); err != nil {
		return ""
	}
	text, _ := io.ReadAll(file)
	return string(text)
}

// Logged waits until the log of this run contains the text. It returns early if the program ends.
func (p *Proc) Logged(limit time.Duration, text string) error {
	err := Until(limit, fmt.Sprintf("%s logs %q", p.Name, text), func() bool {
		return strings.Contains(p.Log(), text) || !p.Running()
	})
	if err == nil && !strings.Contains(p.Log(), text) {
		err = fmt.Errorf("%s: ended without logging %q: %v", p.Name, text, p.exit)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, tail(p.Log(), 15))
	}
	return nil
}

// Listens reports whether the program has a UDP socket at a port.
func (p *Proc) Listens(port int) bool {
	out, err := p.Node.Run("ss", "-Hulnp", fmt.Sprintf("sport = :%d", port))
	return err == nil && strings.Contains(out, fmt.Sprintf("pid=%d,", p.Pid()))
}

// Run runs a command in the node of the program, with the program's private folders. Programs
// that talk to a running instance of themselves need these.
func (p *Proc) Run(args ...string) (string, error) {
	enter := []string{"nsenter", "-t", strconv.Itoa(p.Pid()), "-m", "--"}
	return p.Node.Run(append(enter, args...)...)
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// stopAll ends the programs that still run, the newest first. All of them together have the time
// grace.
func stopAll(procs []*Proc) {
	for _, p := range slices.Backward(procs) {
		if p.Running() {
			_ = p.Signal(syscall.SIGTERM) // an error means that the program has just ended
		}
	}
	late := time.After(grace)
	for _, p := range procs {
		select {
		case <-p.done:
		case <-late:
			_ = p.Kill()
			late = time.After(0)
		}
	}
}

// killInside ends processes that programs have left behind in the nodes: helpers and daemons.
// They are ours, because they are in our namespaces.
func killInside(nodes []*Node) error {
	ours := map[string]bool{}
	for _, d := range nodes {
		ours[fmt.Sprintf("net:[%d]", d.inum)] = true
	}
	return Until(grace, "the last programs of the network end", func() bool {
		left := 0
		links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
		for _, link := range links {
			if where, err := os.Readlink(link); err != nil || !ours[where] {
				continue
			}
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			if err == nil && pid != os.Getpid() {
				left++
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		return left == 0
	})
}

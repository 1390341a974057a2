package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// A warden is a shell that still runs when a process has died without removing its network. The
// shell's standard input is a pipe that only that process has open. If the pipe ends and nothing
// was written to it, the shell kills the programs in the namespaces, and removes the namespaces
// and the folder.
type warden struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

const wardenScript = "read -r word && exit 0\n" + removeScript

const removeScript = `
for path in /run/netns/"$1"*; do
	[ -e "$path" ] || continue
	name=${path##*/}
	for pid in $(ip netns pids "$name"); do
		kill -KILL "$pid" 2>/dev/null
	done
	ip netns delete "$name"
done
[ -z "$2" ] || rm -rf "$2"
`

// Leave leaves everything running when the process ends: the namespaces, the programs and the
// files. What is part of the process itself (point-to-point links, scripted servers) ends with
// it. Leave returns the path of a shell script that removes everything. The Net must not be used
// any more.
func (n *Net) Leave() (remove string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return "", errors.New("lab: leave: the network is closed")
	}
	remove = filepath.Join(n.dir, "remove")
	text := fmt.Sprintf("#!/bin/sh\nset -- '%s' '%s'\n%s", n.prefix, n.dir, removeScript)
	if err := os.WriteFile(remove, []byte(text), 0o755); err != nil {
		return "", fmt.Errorf("lab: leave: %w", err)
	}
	n.closed = true
	return remove, n.warden.dismiss()
}

// startWarden starts a warden for the namespaces with the prefix, and for the folder dir unless
// that is empty.
func startWarden(prefix, dir string) (*warden, error) {
	cmd := exec.Command("/bin/sh", "-c", wardenScript, "sh", prefix, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // so that Ctrl-C in the terminal does not end it
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("lab: warden: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("lab: warden: %w", err)
	}
	return &warden{cmd: cmd, pipe: pipe}, nil
}

// dismiss tells the shell that everything has been removed.
func (w *warden) dismiss() error {
	if _, err := io.WriteString(w.pipe, "done\n"); err != nil {
		return fmt.Errorf("lab: warden: %w", err)
	}
	w.pipe.Close()
	return w.cmd.Wait()
}

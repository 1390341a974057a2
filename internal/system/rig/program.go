package rig

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"fairlead/internal/lab"
	"fairlead/internal/lab/relay"
)

// Program is a Fairlead.
type Program struct {
	*relay.Relay
	net *Net
}

// Start starts it and waits until it says that it is ready.
func (p *Program) Start() {
	p.net.T.Helper()
	p.net.Need(p.Relay.Start())
}

// Stop asks it to end, and waits until it has.
func (p *Program) Stop() {
	p.net.T.Helper()
	p.net.Need(p.Relay.Stop())
}

// Kill ends it at once.
func (p *Program) Kill() {
	p.net.T.Helper()
	p.net.Need(p.Relay.Kill())
}

// Restart is Kill and Start.
func (p *Program) Restart() {
	p.net.T.Helper()
	p.Kill()
	p.Start()
}

// Write replaces its configuration.
func (p *Program) Write(text string) {
	p.net.T.Helper()
	p.net.Need(p.Relay.Write(text))
}

// Text returns its configuration.
func (p *Program) Text() string {
	p.net.T.Helper()
	return string(must[[]byte](p.net)(os.ReadFile(p.File)))
}

// Reload gives it a configuration by a signal, and waits until it has finished, even if it
// refuses the configuration.
func (p *Program) Reload(text string) {
	p.net.T.Helper()
	p.net.Need(p.Relay.Reload(text))
}

// Purge removes everything of the program from the kernel.
func (p *Program) Purge() {
	p.net.T.Helper()
	_, err := p.Node.Run(Binary(), "purge", "--config", p.File)
	p.net.Need(err)
}

// CLI runs a command that asks it, and returns what the command prints.
func (p *Program) CLI(args ...string) string {
	p.net.T.Helper()
	return must[string](p.net)(p.Relay.CLI(args...))
}

// Follow runs a command that prints events, under a name, until it is ended.
func (p *Program) Follow(name string, args ...string) *lab.Proc {
	p.net.T.Helper()
	all := append([]string{Binary()}, args...)
	screen, err := p.Node.Start(lab.Command{Name: name, Args: append(all, "--socket", p.Socket)})
	p.net.Need(err)
	return screen
}

// Show runs a command with --json, and reads its output.
func (p *Program) Show(into any, args ...string) {
	p.net.T.Helper()
	out := p.CLI(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		p.net.T.Fatalf("fairlead %v --json: %v in %q", args, err, out)
	}
}

// Ask sends it a GET request of its control interface, such as "/v1/status".
func (p *Program) Ask(path string, into any) {
	p.net.T.Helper()
	code, body, err := p.Call(http.MethodGet, path, "")
	p.net.Need(err)
	if code != http.StatusOK {
		p.net.T.Fatalf("GET %s: %d: %s", path, code, body)
	}
	p.net.Need(json.Unmarshal(body, into))
}

// Counts has the counters of a link: messages by type, in and out, drops by reason, and grants
// that were not learned.
type Counts struct {
	Received  map[string]int
	Delivered map[string]int
	Drops     map[string]int
	Refused   int
}

// Counts returns the counters of one link, as `fairlead links` shows them.
func (p *Program) Counts(link string) Counts {
	p.net.T.Helper()
	var shown struct{ Counters Counts }
	p.ShowLink(&shown, link)
	return shown.Counters
}

// ShowLink reads what `fairlead links` shows of one link for DHCPv6.
func (p *Program) ShowLink(into any, link string) {
	p.net.T.Helper()
	p.Show(&struct {
		Relay6 any `json:"relay6"`
	}{into}, "links", link)
}

// Log returns what this run of the program has written.
func (p *Program) Log() string { return p.Proc().Log() }

// Logged waits until its log has a line that contains all words.
func (p *Program) Logged(words ...string) {
	p.net.T.Helper()
	p.net.Until(fmt.Sprintf("a line of the log has all of %q", words), func() bool { return Lines(p.Log(), words...) > 0 })
}

// Lines counts the lines of a text that contain all words.
func Lines(text string, words ...string) (count int) {
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			count++
		}
	}
	return count
}

// Resident returns its resident memory in KiB.
func (p *Program) Resident() (size int) {
	p.net.T.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Proc().Pid()))
	p.net.Need(err)
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	_, err = fmt.Sscan(after, &size)
	p.net.Need(err)
	return size
}

// Descriptors returns how many files and sockets it has open.
func (p *Program) Descriptors() int {
	p.net.T.Helper()
	return len(must[[]os.DirEntry](p.net)(os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Proc().Pid()))))
}

// Asleep stops it with SIGSTOP while meanwhile runs, so that everything waits in the kernel.
func (p *Program) Asleep(meanwhile func()) {
	p.net.T.Helper()
	p.net.Need(p.Proc().Signal(syscall.SIGSTOP))
	defer func() { p.net.Need(p.Proc().Signal(syscall.SIGCONT)) }()
	p.net.Until("the program has stopped", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Proc().Pid()))
		p.net.Need(err)
		return !slices.ContainsFunc(threads, func(thread string) bool {
			text, err := os.ReadFile(thread)
			return err == nil && !strings.Contains(string(text), ") T ")
		})
	})
	meanwhile()
}

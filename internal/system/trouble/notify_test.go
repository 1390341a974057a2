package trouble_test

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/rig"
)

// manager is a socket in the place of the service manager, which listens all the
// time: what is not read holds up who writes.
type manager struct {
	t     *testing.T
	path  string
	heard chan string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, path: filepath.Join(t.TempDir(), "notify"), heard: make(chan string, 1<<14)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	need(t, err)
	var listening sync.WaitGroup
	listening.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			m.heard <- string(buffer[:n])
		}
	})
	t.Cleanup(func() {
		conn.Close()
		listening.Wait()
	})
	return m
}

const alive = "WATCHDOG=1"

// any is the next datagram.
func (m *manager) any() string {
	m.t.Helper()
	select {
	case text := <-m.heard:
		return text
	case <-time.After(labtest.Patience):
		m.t.Fatal("the service manager is told nothing")
		return ""
	}
}

// next is the next datagram but for signs of life.
func (m *manager) next() (lines []string) {
	m.t.Helper()
	for {
		if text := m.any(); text != alive {
			return strings.Split(strings.TrimSpace(text), "\n")
		}
	}
}

// silent ends the test if anything but signs of life was said that was not asked
// for, by a process that has ended.
func (m *manager) silent() {
	m.t.Helper()
	conn, err := net.Dial("unixgram", m.path)
	need(m.t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("END=1"))
	need(m.t, err)
	m.says("END=1")
}

// says ends the test if the next thing said is another.
func (m *manager) says(want string) {
	m.t.Helper()
	if got := m.next(); len(got) != 1 || got[0] != want {
		m.t.Fatalf("the service manager was told %q, want %s", got, want)
	}
}

// reloading is a reload in the two steps of Type=notify-reload, which needs the
// time in the same datagram as the word.
func (m *manager) reloading(after int64) {
	m.t.Helper()
	got := m.next()
	if len(got) != 2 || !slices.Contains(got, "RELOADING=1") {
		m.t.Fatalf("the service manager was told %q, want RELOADING=1 and a time", got)
	}
	for _, line := range got {
		text, ok := strings.CutPrefix(line, "MONOTONIC_USEC=")
		if !ok {
			continue
		}
		at, err := strconv.ParseInt(text, 10, 64)
		if now := monotonic(m.t); err != nil || at < after || at > now {
			m.t.Errorf("%s: not between %d and %d", line, after, now)
		}
		m.says("READY=1")
		return
	}
	m.t.Errorf("no time in %q", got)
}

// monotonic is the clock that the service manager compares with.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	need(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return now.Nano() / 1000
}

// TestServiceManagerIsTold follows a life as systemd sees it: ready once and not
// before it can relay, alive at all times, reloading and ready again be the file
// good or bad, stopping.
func TestServiceManagerIsTold(t *testing.T) {
	m := newManager(t)
	r := build(t, plan{clients: 1, env: []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=300000"}})
	r.Need(r.Fairlead.Relay.Launch())
	m.says("READY=1")
	r.obtain(r.Play(1, rig.DUID(1)), 1) // it was true

	for range 3 {
		if got := m.any(); got != alive {
			t.Fatalf("the service manager was told %q, want %s", got, alive)
		}
	}
	for _, text := range []string{r.config("subscriber-id: other"), r.config("no-such-key: 1")} {
		r.Fairlead.Write(text)
		before := monotonic(t)
		r.Need(r.Fairlead.Proc().Signal(syscall.SIGHUP))
		m.reloading(before)
		before = monotonic(t)
		_, _ = r.Fairlead.Relay.CLI("reload") // the second is refused
		m.reloading(before)
	}
	r.Fairlead.Stop()
	m.says("STOPPING=1")
	m.silent()
}

// TestSilentWhereItCannotStart: a relay that cannot start never says that it is
// ready, and its exit status says that it failed.
func TestSilentWhereItCannotStart(t *testing.T) {
	m := newManager(t)
	r := build(t, plan{env: []string{"NOTIFY_SOCKET=" + m.path}})
	r.Fairlead.Write(r.config("no-such-key: 1"))
	r.Need(r.Fairlead.Relay.Launch())
	r.Until("it ends", func() bool { return !r.Fairlead.Proc().Running() })
	if err := r.Fairlead.Proc().Wait(labtest.Patience); err == nil {
		t.Error("it ends as if all were well")
	}
	for _, word := range []string{r.Fairlead.File + ":", "no-such-key"} {
		if text := r.Fairlead.Log(); !strings.Contains(text, word) {
			t.Errorf("%q is not in\n%s", word, text)
		}
	}
	m.silent()
}

// TestMetricsPortIsTaken: the metrics' port does not stop the relay. What is wrong is
// in status until the port is free.
func TestMetricsPortIsTaken(t *testing.T) {
	r := build(t, plan{clients: 1})
	var theirs net.Listener
	r.Relay.Do(func() (err error) {
		theirs, err = net.Listen("tcp6", "[::1]:9547")
		return err
	})
	defer theirs.Close()
	r.Fairlead.Write(strings.Replace(r.config(), "listen: off", `listen: "[::1]:9547"`, 1))
	r.Fairlead.Start()
	r.obtain(r.Play(1, rig.DUID(1)), 1)
	told := func() bool {
		return strings.Contains(strings.Join(r.status().Degraded, "\n"), "address already in use")
	}
	if !told() {
		t.Errorf("status says %q, and nothing of the port", r.status().Degraded)
	}
	r.Need(theirs.Close())
	r.Until("the metrics are served", func() bool { return !told() })
}

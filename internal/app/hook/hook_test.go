package hook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/wire/linkaddr"
)

var now = instant.Now{Boot: instant.Instant(1000 * time.Second)}

func lease(prefix string) binding.Binding {
	return binding.Binding{
		Link: "lan0", VRF: "red", Prefix: netip.MustParsePrefix(prefix),
		Client: binding.DUID("\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x01"), IAID: 4294967295,
		NextHop: netip.MustParseAddr("fe80::1"), LinkLayer: linkaddr.From([]byte{2, 0, 0x5e, 0x10, 0, 1}),
		Preferred: now.Boot.After(1800 * time.Second), Valid: now.Boot.After(3600*time.Second + time.Millisecond), Server: "kea1",
	}
}

func granted(prefix string) binding.Event {
	return binding.Event{Kind: binding.Granted, New: lease(prefix)}
}

// noteOf tells of what happened to a binding.
func noteOf(e binding.Event) *effect.Note { return &effect.Note{Kind: effect.NoteDelegation, Event: e} }

func TestEnvironment(t *testing.T) {
	t.Setenv("FAIRLEAD_TEST_SECRET", "nobody's business")
	path := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	facts := []string{
		"FAIRLEAD_KIND=prefix",
		"FAIRLEAD_PREFIX=2001:db8:1::/48",
		"FAIRLEAD_CLIENT=00:03:00:01:02:00:5e:10:00:01",
		"FAIRLEAD_IAID=4294967295",
		"FAIRLEAD_LINK=lan0",
		"FAIRLEAD_VRF=red",
		"FAIRLEAD_NEXT_HOP=fe80::1",
		"FAIRLEAD_LINK_LAYER=02:00:5e:10:00:01",
	}
	d := lease("2001:db8:1::/48")
	forever := d
	forever.Preferred, forever.Valid, forever.Server, forever.VRF = instant.Never, instant.Never, "", ""
	over := d
	over.Preferred, over.Valid = now.Boot-5, now.Boot-5
	elsewhere := d
	elsewhere.Link, elsewhere.NextHop, elsewhere.Client = "lan9", netip.MustParseAddr("fe80::9"), binding.DUID("\x00\x01\x02")
	tests := []struct {
		name  string
		event binding.Event
		want  []string
	}{
		{
			"granted",
			binding.Event{Kind: binding.Granted, New: d},
			slices.Concat(path, []string{"FAIRLEAD_EVENT=granted"}, facts, []string{"FAIRLEAD_PREFERRED=1800", "FAIRLEAD_VALID=3600", "FAIRLEAD_SERVER=kea1"}),
		},
		{
			"for ever",
			binding.Event{Kind: binding.Extended, Old: d, New: forever},
			slices.Concat(path, []string{"FAIRLEAD_EVENT=extended"}, slices.Delete(slices.Clone(facts), 5, 6), []string{"FAIRLEAD_PREFERRED=infinite", "FAIRLEAD_VALID=infinite"}),
		},
		{
			"ended",
			binding.Event{Kind: binding.Ended, Reason: binding.Expired, Old: over},
			slices.Concat(path, []string{"FAIRLEAD_EVENT=ended", "FAIRLEAD_REASON=expired"}, facts, []string{"FAIRLEAD_PREFERRED=0", "FAIRLEAD_VALID=0", "FAIRLEAD_SERVER=kea1"}),
		},
		{
			"moved",
			binding.Event{Kind: binding.Moved, Old: elsewhere, New: d},
			slices.Concat(path, []string{"FAIRLEAD_EVENT=moved"}, facts, []string{
				"FAIRLEAD_PREFERRED=1800", "FAIRLEAD_VALID=3600", "FAIRLEAD_SERVER=kea1",
				"FAIRLEAD_OLD_LINK=lan9", "FAIRLEAD_OLD_NEXT_HOP=fe80::9", "FAIRLEAD_OLD_CLIENT=00:01:02",
			}),
		},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, environment(noteOf(tt.event), now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Of a pool the program is told which one it is, how far it is taken, and what has happened.
func TestEnvironmentOfPool(t *testing.T) {
	p := effect.Pool{
		Network: "campus", Subnet: netip.MustParsePrefix("2001:db8::/64"), First: netip.MustParseAddr("2001:db8::10"), Last: netip.MustParseAddr("2001:db8::19"),
		Size: 10, Taken: 9, NearlyFull: true,
	}
	of := func(p effect.Pool) []string {
		return environment(&effect.Note{Kind: effect.NotePool, Pool: &p}, now)[2:]
	}
	want := []string{
		"FAIRLEAD_EVENT=pool", "FAIRLEAD_REASON=nearly-full", "FAIRLEAD_KIND=address", "FAIRLEAD_POOL=2001:db8::10-2001:db8::19", "FAIRLEAD_SUBNET=2001:db8::/64",
		"FAIRLEAD_NETWORK=campus", "FAIRLEAD_TAKEN=9", "FAIRLEAD_SIZE=10",
	}
	if diff := cmp.Diff(want, of(p)); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	prefixes := effect.Pool{Network: "campus", Subnet: p.Subnet, Prefix: netip.MustParsePrefix("2001:db8:4000::/40"), Size: 65536, Taken: 50000}
	want = []string{
		"FAIRLEAD_EVENT=pool", "FAIRLEAD_REASON=has-room", "FAIRLEAD_KIND=prefix", "FAIRLEAD_POOL=2001:db8:4000::/40", "FAIRLEAD_SUBNET=2001:db8::/64",
		"FAIRLEAD_NETWORK=campus", "FAIRLEAD_TAKEN=50000", "FAIRLEAD_SIZE=65536",
	}
	if diff := cmp.Diff(want, of(prefixes)); diff != "" {
		t.Errorf("prefixes (-want +got):\n%s", diff)
	}
}

// running is a Runner at work.
type running struct {
	*Runner
	log  *labtest.Log
	stop func() // waits for its end
}

// start runs a shell script as the program.
func start(t *testing.T, script string, tune func(*config.Hook)) *running {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := config.Default().Hook
	c.Program, c.Timeout = program, labtest.Patience
	if tune != nil {
		tune(&c)
	}
	r := &running{log: new(labtest.Log)}
	r.Runner = New(c, slog.New(slog.NewTextHandler(r.log, nil)))
	r.stop = labtest.Run(t, r.Run)
	return r
}

// until polls for a condition that another process brings about.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(labtest.Patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", labtest.Patience, what)
		}
	}
}

func (r *running) done(t *testing.T, runs uint64) api.HookCounters {
	t.Helper()
	until(t, fmt.Sprintf("%d runs", runs), func() bool { s := r.Stats(); return s.Succeeded+s.Failed >= runs })
	return r.Stats()
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// The program sees the facts and nothing of ours, and runs in the order of the
// events.
func TestRunsInOrder(t *testing.T) {
	t.Setenv("FAIRLEAD_TEST_SECRET", "nobody's business")
	out := filepath.Join(t.TempDir(), "out")
	r := start(t, `[ -z "$FAIRLEAD_TEST_SECRET" ] && echo "$FAIRLEAD_EVENT $FAIRLEAD_PREFIX $# $(pwd)" >>`+out, nil)
	var want strings.Builder
	for i := range 50 {
		prefix := fmt.Sprintf("2001:db8:%x::/48", i)
		r.Offer(noteOf(granted(prefix)), now)
		fmt.Fprintf(&want, "granted %s 0 /\n", netip.MustParsePrefix(prefix))
	}
	if got, want := r.done(t, 50), (api.HookCounters{Succeeded: 50}); got != want {
		t.Errorf("counts %+v, want %+v\n%s", got, want, r.log)
	}
	if diff := cmp.Diff(want.String(), contents(t, out)); diff != "" {
		t.Errorf("what the program saw (-want +got):\n%s", diff)
	}
}

func TestEventsByConfiguration(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	r := start(t, `echo "$FAIRLEAD_EVENT" >>`+out, func(c *config.Hook) { c.Events = []string{"ended", "pool"} })
	r.Offer(noteOf(granted("2001:db8::/56")), now)
	r.Offer(noteOf(binding.Event{Kind: binding.Ended, Old: lease("2001:db8::/56")}), now)
	r.Offer(&effect.Note{Kind: effect.NoteLink, Link: "lan0"}, now)
	r.Offer(&effect.Note{Kind: effect.NotePool, Pool: &effect.Pool{Prefix: netip.MustParsePrefix("2001:db8::/40")}}, now)
	r.done(t, 2)
	c := config.Default().Hook // no program
	r.Reconfigure(c)
	r.Offer(noteOf(binding.Event{Kind: binding.Ended, Old: lease("2001:db8::/56")}), now)
	r.stop()
	if got := contents(t, out); got != "ended\npool\n" {
		t.Errorf("ran for %q, want ended and pool alone", got)
	}
	if got, want := r.Stats(), (api.HookCounters{Succeeded: 2}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// A program that hangs is killed with what it has started, and the next runs. The
// test says when its time is up.
func TestTimeout(t *testing.T) {
	out := filepath.Join(t.TempDir(), "child")
	r := start(t, `[ "$FAIRLEAD_KIND" = address ] && exit 0
sleep 1000 &
echo "I am stuck" >&2
echo $! >`+out+`
wait`, func(c *config.Hook) { c.Timeout = 300 * time.Millisecond })
	timers := make(chan func(), 2)
	r.drain = labtest.Patience
	r.after = func(d time.Duration, late func()) *time.Timer {
		if d != 300*time.Millisecond {
			t.Errorf("a program may take %v, want 300ms", d)
		}
		timers <- late
		return time.NewTimer(0)
	}
	r.Offer(noteOf(granted("2001:db8::/56")), now)
	next := granted("2001:db8::1/128")
	next.New.Kind = binding.Address
	r.Offer(noteOf(next), now)
	until(t, "the program is stuck", func() bool { return strings.HasSuffix(contents(t, out), "\n") })
	(<-timers)()
	if got, want := r.done(t, 2), (api.HookCounters{Succeeded: 1, Failed: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(contents(t, out)))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the program's child is dead", func() bool { return dead(pid) })
	for _, want := range []string{`error="timed out after 300ms"`, `output="I am stuck\n"`, "prefix=2001:db8::/56"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, r.log)
		}
	}
}

// dead reports whether a process is no more, or a zombie that nobody has
// collected.
func dead(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// A program that is too slow costs events, which are counted, and never the
// relay's time.
func TestQueueIsBounded(t *testing.T) {
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, "echo x >>"+dir+"/began; read line <"+gate, func(c *config.Hook) { c.Queue = 4 })
	r.Offer(noteOf(granted("2001:db8::/56")), now)
	until(t, "the first program runs", func() bool { return contents(t, dir+"/began") != "" })
	for range 10 {
		r.Offer(noteOf(granted("2001:db8::/56")), now)
	}
	if got, want := r.Stats(), (api.HookCounters{Dropped: 6, Waiting: 4}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if n := strings.Count(r.log.String(), "events are dropped"); n != 1 {
		t.Errorf("%d warnings of dropped events, want 1:\n%s", n, r.log)
	}
	for ended := 1; ended <= 5; ended++ {
		f, err := os.OpenFile(gate, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString("go\n")
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		until(t, "the next program runs, or all have", func() bool {
			return len(contents(t, dir+"/began"))/2 > ended || r.Stats().Succeeded == 5
		})
	}
	if got, want := r.done(t, 5), (api.HookCounters{Succeeded: 5, Dropped: 6}); got != want {
		t.Errorf("counts at the end %+v, want %+v", got, want)
	}
}

// When fairlead stops, a program has a little time, and what waits is dropped
// and counted.
func TestStop(t *testing.T) {
	dir := t.TempDir()
	r := start(t, "echo >"+dir+"/began; sleep 1000", nil)
	r.grace = 50 * time.Millisecond
	for range 3 {
		r.Offer(noteOf(granted("2001:db8::/56")), now)
	}
	until(t, "the first program runs", func() bool { return contents(t, dir+"/began") != "" })
	r.stop()
	if got, want := r.Stats(), (api.HookCounters{Failed: 1, Dropped: 2}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	for _, want := range []string{`error="fairlead stops"`, "waiting=2"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, r.log)
		}
	}
}

func TestFailures(t *testing.T) {
	r := start(t, "head -c 1000000 /dev/zero | tr '\\0' x; exit 3", nil)
	r.Offer(noteOf(granted("2001:db8::/56")), now)
	r.done(t, 1)
	if log := r.log.String(); !strings.Contains(log, `error="exit status 3"`) || strings.Count(log, "x") > maxOutput+100 {
		t.Errorf("log of %d octets, want the exit status and at most %d of output:\n%.300s", len(log), maxOutput, log)
	}
	none := start(t, "", func(c *config.Hook) { c.Program = "/nonexistent/program" })
	none.Offer(noteOf(granted("2001:db8::/56")), now)
	if got, want := none.done(t, 1), (api.HookCounters{Failed: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if !strings.Contains(none.log.String(), "no such file or directory") {
		t.Errorf("log lacks the cause:\n%s", none.log)
	}
}

package clock

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// answering is a kernel that gives one answer and counts the questions.
func answering(state int, tx unix.Timex, err error, asked *int) *source {
	return &source{kernel: func(out *unix.Timex) (int, error) {
		*asked++
		if out.Modes != 0 {
			return -1, errors.New("this would set the clock")
		}
		*out = tx
		return state, err
	}}
}

// RFC 8987 O-3: whether the clock is synchronised can be told, in both cases.
func TestStatus(t *testing.T) {
	tests := []struct {
		name  string
		state int
		tx    unix.Timex
		want  Status
	}{
		{
			"synchronised, nanoseconds", 0,
			unix.Timex{Status: 0x2001, Offset: 1500, Maxerror: 20, Esterror: 3},
			Status{Synchronised: true, OffsetNanos: 1500, MaxErrorMicros: 20, EstErrorMicros: 3, State: "ok"},
		},
		{
			"synchronised, microseconds", 0,
			unix.Timex{Status: 0x0001, Offset: -7, Maxerror: 9, Esterror: 2},
			Status{Synchronised: true, OffsetNanos: -7000, MaxErrorMicros: 9, EstErrorMicros: 2, State: "ok"},
		},
		{
			"a leap second is coming", 1,
			unix.Timex{Status: 0x0011},
			Status{Synchronised: true, State: "insert-leap"},
		},
		{
			"nobody has set it", 5,
			unix.Timex{Status: 0x0040, Maxerror: 16000000, Esterror: 16000000},
			Status{MaxErrorMicros: 16000000, EstErrorMicros: 16000000, State: "unsynchronised"},
		},
		{
			"flag alone", 0,
			unix.Timex{Status: 0x0040},
			Status{State: "ok"},
		},
		{
			"state alone", 5,
			unix.Timex{Status: 0x0001},
			Status{State: "unsynchronised"},
		},
		{
			"a state of a later kernel", 9,
			unix.Timex{Status: 0x0001},
			Status{Synchronised: true, State: "state-9"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked int
			got, err := answering(tt.state, tt.tx, nil, &asked).status()
			if err != nil {
				t.Fatalf("status of %+v: %v", tt.tx, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("status of state %d, %+v (-want +got):\n%s", tt.state, tt.tx, diff)
			}
		})
	}
}

func TestStatusRefused(t *testing.T) {
	var asked int
	s := answering(-1, unix.Timex{}, unix.EPERM, &asked)
	if _, err := s.status(); !errors.Is(err, unix.EPERM) {
		t.Errorf("status: err = %v, want EPERM", err)
	}
	if s.now().Synced {
		t.Error("now: synced although the kernel does not say so")
	}
}

func TestSyncedIsCached(t *testing.T) {
	var asked int
	s := answering(0, unix.Timex{}, nil, &asked)
	steps := []struct {
		boot  time.Duration
		asked int
	}{
		{0, 1},
		{999 * time.Millisecond, 1},
		{1000 * time.Millisecond, 2},
		{1500 * time.Millisecond, 2},
		{time.Hour, 3},
	}
	for _, step := range steps {
		if !s.isSynced(step.boot) {
			t.Errorf("at %v: not synced, want synced", step.boot)
		}
		if asked != step.asked {
			t.Errorf("at %v: the kernel was asked %d times, want %d", step.boot, asked, step.asked)
		}
	}
}

// A clock that has lost its time daemon is noticed within a second.
func TestSyncIsLost(t *testing.T) {
	state := unix.TIME_OK
	s := &source{kernel: func(*unix.Timex) (int, error) { return state, nil }}
	if !s.isSynced(0) {
		t.Error("at 0: not synced, want synced")
	}
	state = unix.TIME_ERROR
	if s.isSynced(time.Second) {
		t.Error("a second after the loss: synced, want not synced")
	}
}

// The real kernel answers, whether its clock is synchronised or not.
func TestNow(t *testing.T) {
	before, wallBefore := Now(), time.Now().Round(0)
	after := Now()
	if before.Boot <= 0 || after.Boot < before.Boot {
		t.Errorf("boot clock: %v, then %v", before.Boot, after.Boot)
	}
	if d := wallBefore.Sub(before.Wall).Abs(); d > time.Minute {
		t.Errorf("wall clock: %v apart from time.Now", d)
	}
	status, err := Adjtimex()
	if err != nil {
		t.Fatal(err)
	}
	if status.State == "" || status.MaxErrorMicros < 0 {
		t.Errorf("Adjtimex: %+v", status)
	}
}

func TestBootID(t *testing.T) {
	id, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("BootID: %q is not a UUID", id)
	}
}

func TestBootIDMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := readBootID(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: err = %v, want ErrNotExist", err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readBootID(empty); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty file: err = %v, want one that says so", err)
	}
}

package notes

import (
	"bytes"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

func TestLimiterSpeaksOncePerInterval(t *testing.T) {
	l := NewLimiter(time.Minute)
	minute := instant.Instant(time.Minute)
	for _, step := range []struct {
		subject string
		at      instant.Instant
		times   uint64
		due     bool
	}{
		{"a", 5, 1, true},
		{"a", 6, 0, false},
		{"b", 6, 1, true},
		{"a", 4 + minute, 0, false},
		{"a", 5 + minute, 3, true},
		{"a", 5 + 2*minute, 1, true},
	} {
		times, due := l.Due(step.subject, step.at)
		if times != step.times || due != step.due {
			t.Errorf("%s at %d: %d, %v; want %d, %v", step.subject, step.at, times, due, step.times, step.due)
		}
	}
}

// However many subjects there are, the lines stay few: the subjects without room count as one.
// Subjects that are remembered are not affected, and one that has been silent for long gives up
// its place.
func TestLimiterIsBounded(t *testing.T) {
	l := NewLimiter(time.Minute)
	spoke := 0
	for range 10 {
		for i := range 3 * maxSubjects {
			if _, due := l.Due(strconv.Itoa(i), 1); due {
				spoke++
			}
		}
	}
	if want := maxSubjects + 1; spoke != want {
		t.Errorf("%d words of %d subjects in one interval, want %d", spoke, 3*maxSubjects, want)
	}
	if len(l.last) > maxSubjects {
		t.Errorf("%d subjects remembered, want at most %d", len(l.last), maxSubjects)
	}
	later := 2 + 2*instant.Instant(time.Minute)
	if _, due := l.Due("new", later); !due {
		t.Error("a new subject may not speak although all others have long been silent")
	}
	if len(l.last) != 1 {
		t.Errorf("%d subjects remembered of which nothing is to be known, want 1", len(l.last))
	}
}

// Many drops of one reason on one link are one line.
func TestNotesGatherDrops(t *testing.T) {
	var out bytes.Buffer
	n := &Notes{Log: slog.New(slog.NewTextHandler(&out, nil)), Feed: control.NewFeed(), Once: NewLimiter(time.Hour)}
	eff := effect.Effects{}
	for range 100 {
		eff.Drops = append(eff.Drops, effect.Dropped{Reason: effect.DropBadSource, Link: "d1"}, effect.Dropped{Reason: effect.DropBadSource, Link: "d2"})
	}
	n.Take(&eff)
	if got := strings.Count(out.String(), "reason=bad-source"); got != 2 {
		t.Errorf("%d lines, want one for each link:\n%s", got, &out)
	}
	if len(eff.Drops) != 0 {
		t.Errorf("%d drops left", len(eff.Drops))
	}
}

// The log and those who watch are told what is in the way of a refused grant.
func TestNotesTellWhatIsInTheWay(t *testing.T) {
	var out bytes.Buffer
	n := &Notes{Log: slog.New(slog.NewTextHandler(&out, nil)), Feed: control.NewFeed(), Once: NewLimiter(time.Hour)}
	const detail = "covers 2001:db8:100:ff::/64 of up0"
	note := effect.Note{
		Kind: effect.NoteDelegation, Text: "refused", Reason: "not-delegable", Link: "d1",
		Event: binding.Event{Kind: binding.Refused, Reason: binding.NotDelegable, Detail: detail},
	}
	if e := control.EventOf(&note, instant.Now{}); e.Reason != "not-delegable" || e.Detail != detail {
		t.Errorf("event: reason %q, detail %q", e.Reason, e.Detail)
	}
	n.Take(&effect.Effects{Notes: []effect.Note{note}})
	if got := out.String(); !strings.Contains(got, "reason=not-delegable detail="+strconv.Quote(detail)) {
		t.Errorf("log: %s", got)
	}
}

// Of each pool that is nearly full there is a warning of its own, with how far it is taken.
func TestNotesTellOfEachPool(t *testing.T) {
	var out bytes.Buffer
	n := &Notes{Log: slog.New(slog.NewTextHandler(&out, nil)), Feed: control.NewFeed(), Once: NewLimiter(time.Hour)}
	pool := func(prefix, text string, full bool) effect.Note {
		p := effect.Pool{Subnet: netip.MustParsePrefix("2001:db8::/64"), Prefix: netip.MustParsePrefix(prefix), Size: 10, Taken: 9, NearlyFull: full}
		return effect.Note{Kind: effect.NotePool, Text: text, Pool: &p}
	}
	n.Take(&effect.Effects{Notes: []effect.Note{
		pool("2001:db8:4000::/40", "pool is nearly full", true), pool("2001:db8:5000::/40", "pool is nearly full", true), pool("2001:db8:4000::/40", "pool has room again", false),
	}})
	for _, want := range []string{
		`level=WARN msg="pool is nearly full" pool=2001:db8:4000::/40 subnet=2001:db8::/64 taken=9 size=10 times=1`,
		`level=WARN msg="pool is nearly full" pool=2001:db8:5000::/40 subnet=2001:db8::/64 taken=9 size=10 times=1`,
		`level=INFO msg="pool has room again" pool=2001:db8:4000::/40 subnet=2001:db8::/64 taken=9 size=10`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &out)
		}
	}
}

// only is a hook program that wants events of one kind.
type only binding.EventKind

func (o only) Wants(event string) bool         { return event == binding.EventKind(o).String() }
func (o only) Offer(*effect.Note, instant.Now) {}

// Extensions are told while somebody would hear of them: the log, someone who watches, or the
// hook program.
func TestExtensionsAreHeard(t *testing.T) {
	logger := func(level slog.Level) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: level}))
	}
	watched := control.NewFeed()
	if _, err := watched.Subscribe(t.Context(), func(*api.Event) bool { return true }); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		notes *Notes
		want  bool
	}{
		"nobody":        {&Notes{Log: logger(slog.LevelInfo), Feed: control.NewFeed()}, false},
		"the log":       {&Notes{Log: logger(slog.LevelDebug), Feed: control.NewFeed()}, true},
		"who watches":   {&Notes{Log: logger(slog.LevelInfo), Feed: watched}, true},
		"the program":   {&Notes{Log: logger(slog.LevelInfo), Feed: control.NewFeed(), Hook: only(binding.Extended)}, true},
		"not a program": {&Notes{Log: logger(slog.LevelInfo), Feed: control.NewFeed(), Hook: only(binding.Ended)}, false},
	} {
		if got := c.notes.HearExtensions(); got != c.want {
			t.Errorf("%s: extensions are told: %v, want %v", name, got, c.want)
		}
	}
}

// The log calls an address a lease and a prefix a delegation, also where they have ended.
func TestNotesSayWhatIsGranted(t *testing.T) {
	for _, c := range []struct {
		event binding.Event
		want  string
	}{
		{binding.Event{Kind: binding.Granted, New: binding.Binding{Kind: binding.Prefix}}, "delegation granted"},
		{binding.Event{Kind: binding.Granted, New: binding.Binding{Kind: binding.Address}}, "lease granted"},
		{binding.Event{Kind: binding.Ended, Old: binding.Binding{Kind: binding.Prefix}}, "delegation ended"},
		{binding.Event{Kind: binding.Ended, Old: binding.Binding{Kind: binding.Address}}, "lease ended"},
	} {
		var out bytes.Buffer
		n := &Notes{Log: slog.New(slog.NewTextHandler(&out, nil)), Feed: control.NewFeed(), Once: NewLimiter(time.Hour)}
		var eff effect.Effects
		eff.NoteEvent(&c.event, c.event.Subject())
		n.Take(&eff)
		if !strings.Contains(out.String(), `msg="`+c.want+`"`) {
			t.Errorf("%v of %v: the log says %q, want %q", c.event.Kind, c.event.Subject().Kind, out.String(), c.want)
		}
	}
}

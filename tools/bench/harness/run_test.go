package harness

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// suite has three benches: a fails; b and c have two programs that take turns.
type suite struct{ did []string }

func (*suite) Flags(*flag.FlagSet)           {}
func (*suite) Told(*Run) (string, error)     { return "", nil }
func (*suite) Document(*Run) (string, error) { return "a whole run", nil }

func (s *suite) Benches(r *Run) ([]Bench, error) {
	r.OnClose(func() error { s.did = append(s.did, "closed"); return nil })
	bar := func(name string) []Bar {
		return []Bar{{Name: "x-" + name, Judge: func(r *Results) Verdict { return Verdict{Met: r.Sum(name, "turns") == 4} }}}
	}
	note := func(what string) func(string) error {
		return func(who string) error { s.did = append(s.did, what+" "+who); return nil }
	}
	turn := func(who string, _ int, to *Results) error {
		to.Add("b", 1, Of(1, "turns"))
		return note("turn")(who)
	}
	return []Bench{
		{Name: "a", Between: []string{"one"}, Bars: bar("a"), Turns: []Turn{func(string, int, *Results) error { return errors.New("broken") }}},
		{Name: "b", Between: []string{"one", "two"}, Bars: bar("b"), Begin: note("begin"), Turns: []Turn{turn}, End: func() error { return note("end")("b") }},
		{Name: "c", Between: []string{"one"}, Bars: bar("c"), Turns: []Turn{turn, turn}, Once: true},
	}, nil
}

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		args     []string
		did      []string
		judged   []string
		err      string
		document bool
	}{
		"all": {
			nil,
			[]string{"begin one", "begin two", "turn one", "turn two", "turn one", "turn two", "end b", "turn one", "turn one", "closed"},
			[]string{"void", "met", "no"},
			"a: one: broken", false,
		},
		"a part":        {[]string{"-bars", "b"}, []string{"begin one", "begin two", "turn one", "turn two", "turn one", "turn two", "end b", "closed"}, []string{"met"}, "", false},
		"fewer rounds":  {[]string{"-bars", "x-b", "-rounds", "1"}, []string{"begin one", "begin two", "turn one", "turn two", "end b", "closed"}, []string{"no"}, "", false},
		"no such bar":   {[]string{"-bars", "beauty"}, []string{"closed"}, nil, `there is no bar "beauty"`, false},
		"no such round": {[]string{"-rounds", "0"}, nil, nil, "-rounds 0: at least one round is wanted", false},
		"no option":     {[]string{"turns"}, nil, nil, `"turns" is no option: only options are wanted`, false},
	} {
		var s suite
		dir := t.TempDir()
		r := &Run{Name: "suite", Rounds: 2}
		err := Main(&s, r, filepath.Join(dir, "document"), "x-", append([]string{"-dir", dir}, c.args...))
		if got := text(err); got != c.err {
			t.Errorf("%s: error %q, want %q", name, got, c.err)
		}
		if !slices.Equal(s.did, c.did) {
			t.Errorf("%s: did %q, want %q", name, s.did, c.did)
		}
		var judged []string
		for _, j := range r.Judged {
			word := j.Word()
			if word == "no bar" {
				word = map[bool]string{true: "met", false: "no"}[j.Met]
			}
			judged = append(judged, word)
		}
		if !slices.Equal(judged, c.judged) {
			t.Errorf("%s: judged %q, want %q", name, judged, c.judged)
		}
		if _, err := os.Stat(filepath.Join(dir, "document")); (err == nil) != c.document {
			t.Errorf("%s: the document: %v", name, err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

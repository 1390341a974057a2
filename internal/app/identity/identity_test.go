package identity

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
)

// Without its token a relay stops. The same token lets it go on; another token is refused until
// it is accepted.
func TestToken(t *testing.T) {
	const one, two = "00:03:00:01:02:00:5e:00:53:01", "00:03:00:01:02:00:5e:00:53:02"
	var logged bytes.Buffer
	text, failure := "", error(fs.ErrNotExist)
	i := &Identity{log: slog.New(slog.NewTextHandler(&logged, nil)), file: "/media/token", read: func(string) ([]byte, error) { return []byte(text), failure }}
	told := []string{}
	i.Changed(func() { told = append(told, i.ID().String()) })
	for _, step := range []struct {
		what    string
		text    string
		failure error
		accept  bool
		missing bool
		id      string
		trouble string
	}{
		{"at the start it is not there", "", fs.ErrNotExist, false, true, "", "file does not exist"},
		{"it comes", one + "\n", nil, false, false, one, ""},
		{"it is cut in half", one[:10], nil, false, true, one, "as if it had been cut"},
		{"it is there again", one + "\n", nil, false, false, one, ""},
		{"its medium fails", "", errors.New("input/output error"), false, true, one, "input/output error"},
		{"another one comes", two + "\n", nil, false, true, one, "is another one, " + two},
		{"the first comes back", one + "\n", nil, false, false, one, ""},
		{"another one is accepted", two + "\n", nil, true, false, two, ""},
		{"the first is another one now", one + "\n", nil, false, true, two, "is another one, " + one},
	} {
		text, failure = step.text, step.failure
		if step.accept {
			i.Accept()
		}
		i.Look()
		i.Look() // nothing more is logged
		if i.Missing() != step.missing || i.ID().String() != step.id {
			t.Errorf("%s: missing %v, id %v; want %v, %v", step.what, i.Missing(), i.ID(), step.missing, step.id)
		}
		if got := i.Trouble(); (got == "") != (step.trouble == "") || !strings.Contains(got, step.trouble) {
			t.Errorf("%s: trouble %q, want %q", step.what, got, step.trouble)
		}
	}
	if want := one + " " + two; strings.Join(told, " ") != want {
		t.Errorf("told of %q, want %q", told, want)
	}
	if n := strings.Count(logged.String(), "\n"); n != 9 {
		t.Errorf("%d lines in the log, want one for each step:\n%s", n, &logged)
	}
}

// A fixed identity is never missing.
func TestFixed(t *testing.T) {
	i := Fixed(nil)
	if i.Missing() || i.Trouble() != "" || len(i.ID()) != 0 {
		t.Errorf("an identity that is not known: %+v", i)
	}
}

package keyfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/app/keyfile"
	"fairlead/internal/lab/labtest"
)

// Who may read or write a key decides whether it is one.
func TestFilesOfOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	for _, tc := range []struct {
		mode           fs.FileMode
		secret, public string
	}{
		{0o400, "", ""},
		{0o600, "", ""},
		{0o640, "mode 0640 lets others than its owner in (chmod 600)", ""},
		{0o604, "mode 0604 lets others than its owner in (chmod 600)", ""},
		{0o644, "mode 0644 lets others than its owner in (chmod 600)", ""},
		{0o610, "mode 0610 lets others than its owner in (chmod 600)", ""},
		{0o664, "mode 0664 lets others than its owner in (chmod 600)", "mode 0664 lets others than its owner write to it (chmod go-w)"},
		{0o602, "mode 0602 lets others than its owner in (chmod 600)", "mode 0602 lets others than its owner write to it (chmod go-w)"},
	} {
		write(t, path, "the key\n", tc.mode)
		want := keyfile.File{Text: []byte("the key\n"), Changed: time.Unix(1_900_000_000, 0)}
		check(t, tc.mode.String()+", secret", keyfile.Secret, path, want, tc.secret)
		check(t, tc.mode.String()+", public", keyfile.Public, path, want, tc.public)
	}

	if os.Geteuid() == 0 {
		write(t, path, "the key\n", 0o600)
		if err := os.Chown(path, 12345, 0); err != nil {
			t.Fatal(err)
		}
		const want = "belongs to user 12345 (it must be root's, or of the user that Fairlead runs as)"
		check(t, "stranger's", keyfile.Secret, path, keyfile.File{}, want)
		check(t, "stranger's, public", keyfile.Public, path, keyfile.File{}, want)
	}
}

// A file that was written to or exchanged has another edition, whatever is done about
// its times; one that was not has the same.
func TestEditions(t *testing.T) {
	dir := t.TempDir()
	path, next := filepath.Join(dir, "key"), filepath.Join(dir, "next")
	edition := func() string {
		t.Helper()
		f, err := keyfile.Secret(path)
		if err != nil {
			t.Fatal(err)
		}
		return f.Edition
	}
	write(t, path, "one\n", 0o600)
	first := edition()
	if again := edition(); first == "" || again != first {
		t.Errorf("read twice: %q and %q", first, again)
	}
	if strings.Contains(first, "1900000000") {
		t.Errorf("%q has the time that was set", first)
	}
	write(t, next, "two\n", 0o600)
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	second := edition()
	if second == first {
		t.Errorf("another file in its place: %q as before", second)
	}
	labtest.Until(t, "a file that was written to has another edition", func() bool { // clocks of files tick slowly
		write(t, path, "one\n", 0o600)
		return edition() != second
	})
}

// What is no file of a reasonable size is refused, and nothing waits for a pipe.
func TestFilesOfOtherKinds(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("empty"), "", 0o600)
	write(t, in("large"), strings.Repeat("a", 256<<10+1), 0o600)
	write(t, in("full"), strings.Repeat("a", 256<<10), 0o600)
	if err := syscall.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("full", in("link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"empty": "empty", "large": "more than 256 KiB (a key file is smaller)", "pipe": "not a regular file", "": "not a regular file",
		"none": "no such file or directory", "full/key": "not a directory", "full": "", "link": "",
	} {
		_, err := keyfile.Secret(in(name))
		if got := text(err); got != want {
			t.Errorf("%q: error %q, want %q", name, got, want)
		}
	}
	if _, err := keyfile.Secret(in("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, fs.ErrNotExist)
	}
}

// write makes a file that was last changed at second 1 900 000 000.
func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	if at := time.Unix(1_900_000_000, 0); os.Chtimes(path, at, at) != nil {
		t.Fatal("time of " + strconv.Quote(path) + " not set")
	}
}

func check(t *testing.T, name string, read func(string) (keyfile.File, error), path string, want keyfile.File, refused string) {
	t.Helper()
	got, err := read(path)
	if text(err) != refused {
		t.Errorf("%s: error %q, want %q", name, text(err), refused)
	}
	if err == nil && (string(got.Text) != string(want.Text) || !got.Changed.Equal(want.Changed)) {
		t.Errorf("%s: %q of %v, want %q of %v", name, got.Text, got.Changed, want.Text, want.Changed)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

package store

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Other users cannot read the database, whatever the umask and the folder permit. What an earlier
// version left open is closed to them.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	files := func() (all []string) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || path == dir {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(privateFile)
			if d.IsDir() {
				want = privateDir
			}
			if info.Mode().Perm() != want {
				t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
			}
			all = append(all, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	s := open(t, dir, Options{ReserveBytes: -1})
	commit := func() {
		t.Helper()
		if err := s.Commit([]Op{put("k", "v")}); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	if all := files(); len(all) < 5 {
		t.Errorf("%d files: %v; want a database", len(all), all)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all := files()
	other := filepath.Join(dir, "notes") // it is not the store's
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(all, other, dir) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, Options{ReserveBytes: -1})
	commit()
	info, err := os.Stat(other)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("what is not the store's was changed: %v, %v", info.Mode(), err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	files()
}

package store

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childDir names the environment variable that tells a copy of the test binary to be a child, and
// in which folder to work.
const childDir = "FAIRLEAD_STORE_TEST_DIR"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" && os.Getenv("FAIRLEAD_STORE_TEST_WRITER") != "" {
		write(dir)
	}
	os.Exit(m.Run())
}

// write commits for ever, and prints the number of each commit that was acknowledged.
func write(dir string) {
	s, err := Open(dir, Options{memTable: testMemTable})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := last(s) + 1; ; n++ {
		if err := s.Commit(numbered(n)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if _, err := fmt.Println(n); err != nil {
			os.Exit(1)
		}
	}
}

// numbered is the nth commit of the writer.
func numbered(n int) []Op {
	value := fmt.Sprintf("%d %s", n, strings.Repeat("v", 300))
	return []Op{
		del(fmt.Sprintf("x%d", n*7%40)),
		put(fmt.Sprintf("x%d", n%40), value),
		put(fmt.Sprintf("y%d", n%40), value),
		put("last", value),
	}
}

// numberedContent is the content after the first n commits of the writer.
func numberedContent(n int) map[string]string {
	state := make(map[string]string)
	for i := 1; i <= n; i++ {
		tag := strconv.Itoa(i)
		delete(state, fmt.Sprintf("x%d", i*7%40))
		state[fmt.Sprintf("x%d", i%40)] = tag
		state[fmt.Sprintf("y%d", i%40)] = tag
		state["last"] = tag
	}
	return state
}

func numberOf(v []byte) string {
	n, _, _ := strings.Cut(string(v), " ")
	return n
}

// last returns the number of the last commit that a store has; 0 for none.
func last(s *Store) (n int) {
	_ = s.Scan([]byte("last"), nil, func(_, v []byte) bool {
		n, _ = strconv.Atoi(numberOf(v))
		return false
	})
	return n
}

// A process that commits as fast as it can is killed at random moments, again and again. What it
// acknowledged is there.
func TestKilledUnderLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	rng := rand.New(rand.NewPCG(5, 6))
	acknowledged := 0
	for range 8 {
		acknowledged = runAndKill(t, dir, 1+rng.IntN(300))
		s := open(t, dir, Options{memTable: testMemTable})
		n := last(s)
		if n < acknowledged || n > acknowledged+1 {
			t.Fatalf("commit %d was acknowledged, %d is the last that is there", acknowledged, n)
		}
		got := make(map[string]string)
		if err := s.Scan(nil, nil, func(k, v []byte) bool { got[string(k)] = numberOf(v); return true }); err != nil {
			t.Fatal(err)
		}
		if want := numberedContent(n); !maps.Equal(got, want) {
			t.Fatalf("after commit %d:\n got %v\nwant %v", n, got, want)
		}
		if stats := s.Stats(); stats.RecordsSetAside > 0 || len(stats.DatabasesSetAside) > 0 || stats.CommitsLost > 0 {
			t.Fatalf("stats: %+v", stats)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d commits were acknowledged", acknowledged)
}

// runAndKill runs the writer, kills it after it has acknowledged some commits, and returns the
// number of the last acknowledged one.
func runAndKill(t *testing.T, dir string, commits int) (acknowledged int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, "FAIRLEAD_STORE_TEST_WRITER=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if acknowledged, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("the writer said %q", lines.Text())
		}
		if seen++; seen == commits {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return acknowledged
}

// A real file system becomes full: a small tmpfs in a mount namespace, which ends with the child
// that made it.
func TestFullFileSystem(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		for _, reserve := range []int64{2 << 20, -1} {
			t.Run(fmt.Sprintf("reserve %d", reserve), func(t *testing.T) { fillDisk(t, filepath.Join(dir, fmt.Sprint(reserve)), reserve) })
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root for a mount namespace: geteuid is not 0")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullFileSystem$", "-test.v")
	cmd.Env = append(os.Environ(), childDir+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(out), "--- PASS") != 3 {
		t.Error("the child did not run both cases")
	}
}

func fillDisk(t *testing.T, mnt string, reserve int64) {
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", mnt, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(mnt, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(mnt, "store")
	before := openFiles(t)
	o := Options{ReserveBytes: reserve, memTable: testMemTable}
	s := open(t, dir, o)
	n, err := fill(t, s, 0)
	t.Logf("full after %d commits: %v", n, err)
	for range 3 {
		// Work in the background may have made room meanwhile.
		n, _ = fill(t, s, n)
		wantBulky(t, s, n)
		if stats := s.Stats(); stats.Failures == 0 || stats.LastError == "" {
			t.Errorf("stats of a full disk: %+v", stats)
		}
	}
	if reserve > 0 {
		commit(t, s, del("absent")) // it takes hardly any room
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, o)
	wantBulky(t, s, n)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	more, err := fill(t, s, n)
	if more <= n {
		t.Fatalf("no commit succeeds with space again: %v", err)
	}
	wantBulky(t, s, more)
	if err := s.Close(); err != nil && !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// bulky is the nth commit that fills a disk. Random octets cannot be compressed.
func bulky(n int) []Op {
	rng := rand.New(rand.NewPCG(uint64(n), 0))
	value := make([]byte, 20<<10)
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	return []Op{{Key: fmt.Appendf(nil, "%06d", n), Value: value}}
}

// fill commits from number n on until the disk is full, and returns the number of the first
// commit that was refused.
func fill(t *testing.T, s *Store, n int) (int, error) {
	t.Helper()
	for ; n < 2000; n++ {
		if err := s.Commit(bulky(n)); errors.Is(err, ErrFull) {
			return n, err
		} else if err != nil {
			t.Fatalf("commit %d: %v", n, err)
		}
	}
	t.Fatal("the disk does not fill up")
	return 0, nil
}

// wantBulky checks that the first n commits are there. The one that was refused may be there too.
func wantBulky(t *testing.T, s *Store, n int) {
	t.Helper()
	i := 0
	err := s.Scan(nil, nil, func(k, v []byte) bool {
		want := bulky(i)[0]
		if string(k) != string(want.Key) || string(v) != string(want.Value) {
			t.Errorf("record %d: key %s", i, k)
			return false
		}
		i++
		return true
	})
	if err != nil || i < n || i > n+1 {
		t.Fatalf("%d records, %v; want %d", i, err, n)
	}
}

package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
)

// asChild names the environment variable that tells this test binary what to do as another user.
const asChild = "FAIRLEAD_CONTROL_CHILD"

func TestMain(m *testing.M) {
	if deed := os.Getenv(asChild); deed != "" {
		if err := child(deed, os.Args[1]); err != nil {
			fmt.Println(err)
		}
		os.Exit(0)
	}
	code := m.Run()
	if selfCopy != "" {
		if err := os.RemoveAll(filepath.Dir(selfCopy)); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

// child does one thing, and prints the result.
func child(deed, socket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := api.NewClient(socket)
	var err error
	switch deed {
	case "look":
		_, err = c.Status(ctx)
	case "watch":
		_, err = c.Watch(ctx, api.Filter{})
	case "follow":
		stream, err := c.Watch(ctx, api.Filter{})
		if err != nil {
			return err
		}
		for _, err := range stream {
			fmt.Println("ended:", err)
		}
		return nil
	case "clear":
		_, err = c.Clear(ctx, api.ClearRequest{All: true})
	case "unblock":
		err = c.Unblock(ctx, api.Block{Link: "br-cust9"})
	case "reload":
		_, err = c.Reload(ctx, api.ReloadRequest{})
	case "flood": // refused deeds, as fast as possible
		for range 300 {
			_, err = c.Clear(ctx, api.ClearRequest{All: true})
		}
	case "crowd": // connections without requests
		return crowd(socket)
	}
	var remote *api.RemoteError
	switch {
	case err == nil:
		fmt.Println("done")
	case errors.As(err, &remote):
		fmt.Println(remote.Code, remote.Text)
	case errors.Is(err, os.ErrPermission):
		fmt.Println("cannot connect:", err)
	default:
		return err
	}
	return nil
}

// account is a user that need not exist.
type account struct {
	uid    uint32
	groups []uint32 // the first is the primary one
}

// doAs runs a deed in a process of that account. It returns what the process printed, and its
// process id.
func doAs(t *testing.T, who account, deed, socket string) (string, int) {
	t.Helper()
	return startAs(t, who, deed, socket)()
}

// startAs begins a deed. The function that it returns waits for the end.
func startAs(t *testing.T, who account, deed, socket string) func() (string, int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("needs root, to become somebody else")
	}
	cmd := exec.Command(copyOfSelf(t), socket)
	cmd.Env = append(os.Environ(), asChild+"="+deed, "GORACE=atexit_sleep_ms=0") // a race detector would wait a second
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: who.uid, Gid: who.groups[0], Groups: who.groups[1:]}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s as %d: %v", deed, who.uid, err)
	}
	return func() (string, int) {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s as %d: %v: %s", deed, who.uid, err, &out)
		}
		return strings.TrimSpace(out.String()), cmd.ProcessState.Pid()
	}
}

// selfCopy is the path of the copy that copyOfSelf has made; empty before.
var selfCopy string

// copyOfSelf is a copy of this test binary that everybody can run.
func copyOfSelf(t *testing.T) string {
	t.Helper()
	if selfCopy != "" {
		return selfCopy
	}
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	selfCopy = filepath.Join(dir, "control.test")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(selfCopy, b, 0o755), os.Chmod(selfCopy, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return selfCopy
}

const (
	socketGroup = 54320
	staff       = 54321
)

func numbers(ids ...uint32) []config.Principal {
	list := make([]config.Principal, len(ids))
	for i, id := range ids {
		list[i] = config.Principal{ID: id}
	}
	return list
}

func groups(ids ...uint32) []config.Principal {
	list := numbers(ids...)
	for i := range list {
		list[i].Group = true
	}
	return list
}

func TestRoles(t *testing.T) {
	s := serve(t, func(c *config.Config) {
		c.Control.Group = fmt.Sprint(socketGroup)
		c.Control.Operators = slices.Concat(numbers(20001), groups(staff))
		c.Control.Readers = slices.Concat(numbers(20002), groups(54322))
	}, nil)
	const (
		done       = "done"
		mayNotLook = "is among neither control.operators nor control.readers"
		mayLook    = "may look, but is not among control.operators"
		noWay      = "cannot connect"
	)
	tests := []struct {
		name         string
		who          account
		look, change string
	}{
		{"operator by user", account{20001, []uint32{socketGroup}}, done, done},
		{"operator by primary group", account{20009, []uint32{staff, socketGroup}}, done, done},
		{"operator by another group", account{20009, []uint32{20009, 7, socketGroup, staff}}, done, done},
		{"reader by user", account{20002, []uint32{socketGroup}}, done, mayLook},
		{"reader by group", account{20009, []uint32{54322, socketGroup}}, done, mayLook},
		{"member of the socket's group", account{20009, []uint32{socketGroup}}, mayNotLook, mayNotLook},
		{"group with an operator's number", account{20009, []uint32{socketGroup, 20001}}, mayNotLook, mayNotLook},
		{"user with a group's number", account{staff, []uint32{socketGroup}}, mayNotLook, mayNotLook},
		{"reader who is not in the socket's group", account{20002, []uint32{20002}}, noWay, noWay},
		{"root", account{0, []uint32{0}}, done, done},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for deed, want := range map[string]string{"look": tt.look, "watch": tt.look, "clear": tt.change, "reload": tt.change} {
				got, _ := doAs(t, tt.who, deed, s.config.Control.Socket)
				if !strings.Contains(got, want) {
					t.Errorf("%s: %q, want %q", deed, got, want)
				}
				if want == mayLook || want == mayNotLook {
					if code := fmt.Sprint(http.StatusForbidden); !strings.HasPrefix(got, code) {
						t.Errorf("%s: %q, want code %s", deed, got, code)
					}
				}
			}
		})
	}
}

// A new configuration holds at once for new connections.
func TestRolesChange(t *testing.T) {
	s := serve(t, func(c *config.Config) {
		c.Control.Group = fmt.Sprint(socketGroup)
		c.Control.Operators = numbers(20001)
	}, nil)
	who := account{20001, []uint32{socketGroup}}
	if got, _ := doAs(t, who, "clear", s.config.Control.Socket); got != "done" {
		t.Fatalf("before: %q, want done", got)
	}
	next := *s.config
	next.Control.Operators, next.Control.Readers = nil, numbers(20001)
	if err := s.Reconfigure(&next.Process); err != nil {
		t.Fatal(err)
	}
	if got, _ := doAs(t, who, "clear", s.config.Control.Socket); !strings.Contains(got, "may look, but") {
		t.Errorf("after: %q, want a reader's refusal", got)
	}
	if _, err := s.Clear(within(t), api.ClearRequest{All: true}); err != nil {
		t.Errorf("root without any operator listed: %v", err)
	}
}

// An account that the system does not know is logged, and matches nobody.
func TestUnknownAccounts(t *testing.T) {
	s := serve(t, func(c *config.Config) {
		c.Control.Operators = []config.Principal{{Name: "no-such-user-here"}, {Group: true, Name: "no-such-group-here"}}
	}, nil)
	for _, name := range []string{"no-such-user-here", "no-such-group-here"} {
		if want := "account=" + name; !strings.Contains(s.log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, s.log)
		}
	}
}

// deedLine is one line of the audit log.
type deedLine struct {
	Time    time.Time
	Deed    string
	Outcome string
	Role    string
	User    string
	UID     uint32
	PID     int
	Process string
	Link    string
	Cleared int
	All     bool
	Error   string
	Before  int `json:"refused_before"`
}

func readAudit(t *testing.T, path string) []deedLine {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []deedLine
	for text := range strings.Lines(string(b)) {
		var l deedLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("audit line %q: %v", text, err)
		}
		lines = append(lines, l)
	}
	return lines
}

// RFC 4778 section 2.2.2: the log tells who did what and when, and what was not permitted.
func TestAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	s := serve(t, func(c *config.Config) {
		c.Control.Group = fmt.Sprint(socketGroup)
		c.Control.Operators = numbers(20001)
		c.Audit.File = path
	}, nil)
	began := time.Now()
	operator, stranger := account{20001, []uint32{socketGroup}}, account{20009, []uint32{socketGroup}}
	_, cleared := doAs(t, operator, "clear", s.config.Control.Socket)
	doAs(t, operator, "look", s.config.Control.Socket)
	_, unblocked := doAs(t, operator, "unblock", s.config.Control.Socket)
	_, failed := doAs(t, operator, "unblock", s.config.Control.Socket)
	_, refused := doAs(t, stranger, "reload", s.config.Control.Socket)
	want := []deedLine{
		{Deed: "clear", Outcome: "done", Role: "operator", UID: 20001, PID: cleared, Process: "control.test", Cleared: 3, All: true},
		{Deed: "unblock", Outcome: "done", Role: "operator", UID: 20001, PID: unblocked, Process: "control.test", Link: "br-cust9"},
		{Deed: "unblock", Outcome: "failed", Role: "operator", UID: 20001, PID: failed, Process: "control.test", Link: "br-cust9", Error: "block: not found"},
		{Deed: "reload", Outcome: "refused", Role: "refused", UID: 20009, PID: refused, Process: "control.test"},
	}
	got := readAudit(t, path)
	if len(got) != len(want) {
		t.Fatalf("audit: %d lines, want %d: %+v", len(got), len(want), got)
	}
	for i, g := range got {
		if g.Time.Before(began.Add(-time.Second)) || g.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("line %d: time %v, want about %v", i, g.Time, began)
		}
		g.Time = time.Time{}
		if i == 3 {
			if !strings.Contains(g.Error, "not permitted") {
				t.Errorf("line 3: error %q, want one that says why", g.Error)
			}
			g.Error = ""
		}
		if g != want[i] {
			t.Errorf("line %d:\n got %+v\nwant %+v", i, g, want[i])
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("audit log: mode %v, %v, want nothing for others", info.Mode(), err)
	}
}

// A caller who may do nothing cannot fill the disk with refusals. The log still tells how many
// there were.
func TestAuditIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	s := serve(t, func(c *config.Config) {
		c.Control.Group = fmt.Sprint(socketGroup)
		c.Audit.File = path
	}, nil)
	began := time.Now()
	doAs(t, account{20009, []uint32{socketGroup}}, "flood", s.config.Control.Socket)
	bound := 20 + int(time.Since(began)/time.Second) + 1
	if n := len(readAudit(t, path)); n > bound || n < 20 {
		t.Errorf("300 refusals made %d lines, want from 20 to %d", n, bound)
	}
	if _, err := s.Clear(within(t), api.ClearRequest{All: true}); err != nil {
		t.Fatal(err)
	}
	lines, told := readAudit(t, path), 0
	for _, l := range lines {
		told += l.Before
	}
	if last := lines[len(lines)-1]; last.Outcome != "done" || told+len(lines)-1 != 300 {
		t.Errorf("%d lines, %d refusals told of, the last %+v; want 300 refusals and a clear", len(lines), told, last)
	}
}

// The audit log may be moved away at any time. Where it cannot be written, records go to the log.
func TestAuditFileGoesAway(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	s := serve(t, func(c *config.Config) { c.Audit.File = path }, nil)
	clearAll := func() {
		t.Helper()
		if _, err := s.Clear(within(t), api.ClearRequest{All: true}); err != nil {
			t.Fatal(err)
		}
	}
	clearAll()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	clearAll()
	if old, now := len(readAudit(t, path+".1")), len(readAudit(t, path)); old != 1 || now != 1 {
		t.Errorf("lines: %d in the old file, %d in the new, want 1 and 1", old, now)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	clearAll()
	if log := s.log.String(); !strings.Contains(log, "level=ERROR msg=audit deed=clear outcome=done") || !strings.Contains(log, "audit_error=") {
		t.Errorf("log lacks the record and the error:\n%s", log)
	}
}

func TestAuditToTheLog(t *testing.T) {
	s := serve(t, nil, nil)
	if _, err := s.Reload(within(t), api.ReloadRequest{}); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("level=INFO msg=audit deed=reload outcome=done role=operator user=root uid=0 pid=%d", os.Getpid())
	if log := s.log.String(); !strings.Contains(log, want) {
		t.Errorf("log lacks %q:\n%s", want, log)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab/relay"
)

// unhurried is how long a demo may take in a test, however busy the machine is.
const unhurried = 30 * time.Minute

// TestDemo runs the demo once, as a user with KEEP=1 sees it who presses Enter at the end.
func TestDemo(t *testing.T) {
	binary := build(t)
	in, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer keys.Close()
	if _, err := keys.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	started := time.Now()
	err = give(t.Context(), options{Limit: unhurried, Keep: true, In: in, Out: &out, Binary: binary})
	t.Logf("%v\n%s", time.Since(started).Round(time.Second), out.String())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "Press Enter") {
		t.Error("the demo did not say what it waits for")
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours, and there is no terminal")
	}
	if strings.Contains(out.String(), leftOut) {
		t.Error("a step was left out with Fairlead's own server")
	}
	nothingLeft(t)
}

// leftOut is the sentence of a step that cannot be shown.
const leftOut = "This step is left out."

// With Kea in the place of Fairlead's server everything else holds, and each step that cannot be
// shown says so.
func TestDemoKea(t *testing.T) {
	var out strings.Builder
	err := give(t.Context(), options{Limit: unhurried, Kea: true, Out: &out, Binary: build(t)})
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"A home on a link of the server's own machine", "kill -9 of the server", "What the server's operator sees"} {
		_, step, _ := strings.Cut(out.String(), ". "+title+"\n")
		if !strings.HasPrefix(strings.TrimSpace(step), leftOut) {
			t.Errorf("the step %q does not say that it is left out", title)
		}
	}
	if n := strings.Count(out.String(), leftOut); n != 3 {
		t.Errorf("%d steps are left out, want 3", n)
	}
	nothingLeft(t)
}

// An unknown server is refused, and so is a server for the story that has its own.
func TestServerRefused(t *testing.T) {
	for _, args := range [][]string{{"--server", "dhcpd"}, {"--server", "kea", "--ipsec"}} {
		if code := demonstrate(args); code != 2 {
			t.Errorf("fairlead-demo %v ends with %d, want 2", args, code)
		}
	}
}

// A program that is no relay makes the demo fail.
func TestDemoFails(t *testing.T) {
	var out strings.Builder
	err := give(t.Context(), options{Limit: unhurried, Out: &out, Binary: "/bin/false"})
	if !errors.Is(err, errFailed) {
		t.Errorf("err = %v, want %v\n%s", err, errFailed, out.String())
	}
	nothingLeft(t)
}

// stopper ends a context when a certain text is written.
type stopper struct {
	text string
	stop func()
}

func (s stopper) Write(b []byte) (int, error) {
	if strings.Contains(string(b), s.text) {
		s.stop()
	}
	return len(b), nil
}

// If a user interrupts the demo, nothing is left behind.
func TestDemoInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := give(ctx, options{Limit: unhurried, Out: stopper{"dhcpcd starts", stop}, Binary: build(t)})
	if !errors.Is(err, errInterrupted) {
		t.Errorf("err = %v, want %v", err, errInterrupted)
	}
	nothingLeft(t)
}

func build(t *testing.T) string {
	t.Helper()
	binary, remove, err := relay.Build()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	return binary
}

// nothingLeft fails if a network namespace of this process is left.
func nothingLeft(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(fmt.Sprintf("/run/netns/fl%d.*", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

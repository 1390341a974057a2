package privacy_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/app/config"
)

// quietEnv makes the test binary a process that Quiet is called in.
const quietEnv = "PRIVACY_QUIET"

func TestMain(m *testing.M) {
	how := map[string]config.Identifiers{"full": config.IdentifiersFull, "hashed": config.IdentifiersHashed}
	if what := os.Getenv(quietEnv); what != "" {
		word, end, _ := strings.Cut(what, " ")
		rules(how[word]).Quiet()
		deep(end, netip.MustParseAddr(somebodysAddr), somebodysDUID)
	}
	os.Exit(m.Run())
}

//go:noinline
func deep(end string, addr netip.Addr, duid string) {
	if end == "panic" {
		panic("over")
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
	fmt.Println(addr, duid)
}

// dying is what a process writes that gets a signal, or panics.
func dying(t *testing.T, how, end string, s syscall.Signal) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), quietEnv+"="+how+" "+end, "GOTRACEBACK=none")
	cmd.Stderr = &out
	ready, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if end != "panic" {
		if _, err := fmt.Fscanln(ready, new(string)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("ended with %v, want 2", err)
	}
	return out.String()
}

func TestStacksWithoutArguments(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT} {
		got := dying(t, "hashed", "", s)
		leaks(t, s.String(), got)
		if !strings.Contains(got, "privacy_test.deep\n") || !strings.Contains(got, "goroutine 1 [") || !strings.Contains(got, "quiet_test.go:") {
			t.Errorf("%v: %s", s, got)
		}
	}
	// The octets of an address are among the arguments of a stack.
	if got := dying(t, "full", "", syscall.SIGQUIT); !strings.Contains(got, "0x20010db8cafe0001") {
		t.Errorf("full: %s", got)
	}
}

func TestUncaughtPanicHasNoStack(t *testing.T) {
	if got := dying(t, "hashed", "panic", 0); !strings.Contains(got, "panic: over") || strings.Contains(got, "deep") {
		t.Errorf("hashed: %s", got)
	}
	if got := dying(t, "full", "panic", 0); !strings.Contains(got, "panic: over") || !strings.Contains(got, "privacy_test.deep(") {
		t.Errorf("full: %s", got)
	}
}

package lab_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

// patience is for conditions that a slow machine may take long to reach.
const patience = 20 * time.Second

// TestMain plays a program that panics before it has closed its network, if a test asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("LAB_TEST_PANIC") != "" {
		panicInside()
	}
	os.Exit(m.Run())
}

var need = labtest.Need

func reaches(t *testing.T, from *lab.Node, source, to string) {
	t.Helper()
	var src netip.Addr
	if source != "" {
		src = netip.MustParseAddr(source)
	}
	need(t, lab.Until(patience, from.Name+" reaches "+to, func() bool {
		return from.Ping(src, netip.MustParseAddr(to)) == nil
	}))
}

func TestTopologyCarriesPackets(t *testing.T) {
	for name, access := range map[string]lab.Access{"cables": lab.Cables, "switch": lab.Switch, "ppp": lab.PPP} {
		t.Run(name, func(t *testing.T) {
			n := lab.ForTest(t)
			top, err := n.Topology(lab.Plan{Clients: 2, Access: access})
			need(t, err)
			reaches(t, top.Relay, "", lab.ServerAddress.String())

			// This delegation is made by hand: to the second client's home network.
			second := top.Client(2)
			need(t, second.Address("lan0", "2001:db8:1200:1::1/64"))
			next, err := second.LinkLocal("c0")
			need(t, err)
			_, err = top.Relay.IP("-6 route add 2001:db8:1200::/56 via %s dev %s", next, top.Downlink(2))
			need(t, err)
			reaches(t, top.Server, "", "2001:db8:1200:1::1")
			reaches(t, second, "2001:db8:1200:1::1", lab.ServerAddress.String())
		})
	}
}

func TestDynamicCoreDoesNotKnowDelegations(t *testing.T) {
	n := lab.ForTest(t)
	top, err := n.Topology(lab.Plan{Clients: 1, Dynamic: true})
	need(t, err)
	inside := lab.Delegable(1).Addr().Next()
	out, err := top.Core.IP("-6 route get %s", inside)
	if err == nil && strings.Contains(out, "via") {
		t.Errorf("core routes %s: %s", inside, out)
	}
	out, err = top.Core.IP("-6 route get %s", lab.LinkAddress(1))
	if err != nil || !strings.Contains(out, "via 2001:db8:fe::1 ") {
		t.Errorf("core does not route %s to the relay: %s %v", lab.LinkAddress(1), out, err)
	}
}

func TestSecondServerIsReached(t *testing.T) {
	n := lab.ForTest(t)
	top, err := n.Topology(lab.Plan{})
	need(t, err)
	_, err = top.AddServer(2)
	need(t, err)
	reaches(t, top.Relay, "2001:db8:fe::1", lab.ExtraServerAddress(2).String())
}

func TestPrivateFoldersHideTheMachines(t *testing.T) {
	n := lab.ForTest(t)
	a, err := n.Node("a")
	need(t, err)
	machine := t.TempDir()
	need(t, os.WriteFile(filepath.Join(machine, "secret"), nil, 0o644))
	p, err := a.Start(lab.Command{
		Name:    "writer",
		Args:    []string{"sh", "-c", "ls -A $0; echo hello >$0/new; exec sleep 600", machine},
		Private: []string{machine},
	})
	need(t, err)
	own, err := a.Private("writer", machine)
	need(t, err)
	need(t, lab.Until(patience, "the file is written", func() bool {
		text, _ := os.ReadFile(filepath.Join(own, "new"))
		return string(text) == "hello\n"
	}))
	if got := p.Log(); got != "" {
		t.Errorf("the program saw %q in its folder, want nothing", got)
	}
	if _, err := os.Stat(filepath.Join(machine, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the machine's folder was written to: %v", err)
	}
	if out, err := p.Run("cat", filepath.Join(machine, "new")); err != nil || out != "hello\n" {
		t.Errorf("Run beside the program read %q, %v", out, err)
	}
}

func TestLogIsOfThisRun(t *testing.T) {
	n := lab.ForTest(t)
	a, err := n.Node("a")
	need(t, err)
	for _, word := range []string{"first", "second"} {
		p, err := a.Start(lab.Command{Name: "talker", Args: []string{"echo", word}})
		need(t, err)
		need(t, p.Logged(patience, word))
		need(t, p.Wait(patience))
		if got := p.Log(); got != word+"\n" {
			t.Errorf("log = %q, want %q", got, word+"\n")
		}
		if err := p.Logged(patience, "never"); err == nil {
			t.Error("Logged found a text that was not written")
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	n, err := lab.New()
	need(t, err)
	a, err := n.Node("a")
	need(t, err)
	b, err := n.Node("b")
	need(t, err)
	_, err = n.Tun(a, "p0", "fe80::1/64", b, "p0", "fe80::2/64")
	need(t, err)
	// The program ignores SIGTERM, and leaves a daemon behind.
	p, err := a.Start(lab.Command{Name: "deaf", Args: []string{
		"sh", "-c", "trap '' TERM; setsid sleep 600 & echo $!; sleep 600; sleep 600",
	}})
	need(t, err)
	need(t, p.Logged(patience, "\n"))
	daemon := strings.TrimSpace(p.Log())
	need(t, n.Close())

	if p.Running() {
		t.Error("the program still runs")
	}
	if state, err := os.ReadFile("/proc/" + daemon + "/stat"); err == nil && !strings.Contains(string(state), ") Z ") {
		t.Errorf("the daemon still runs: %s", state)
	}
	for _, d := range []*lab.Node{a, b} {
		if _, err := os.Stat("/run/netns/" + d.Namespace); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("namespace %s: %v, want that it is gone", d.Namespace, err)
		}
	}
	if _, err := os.Stat(n.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %s: %v, want that it is gone", n.Dir(), err)
	}
	if err := a.Do(func() error { return nil }); err == nil {
		t.Error("a removed node still works")
	}
	need(t, n.Close())
}

func TestLeaveAndRemove(t *testing.T) {
	n, err := lab.New()
	need(t, err)
	a, err := n.Node("a")
	need(t, err)
	p, err := a.Start(lab.Command{Name: "sleeper", Args: []string{"sleep", "600"}})
	need(t, err)
	remove, err := n.Leave()
	need(t, err)
	need(t, n.Close()) // the second Close does nothing
	if _, err := os.Stat("/run/netns/" + a.Namespace); err != nil || !p.Running() {
		t.Errorf("left: namespace %v, program runs: %v; want both", err, p.Running())
	}
	if out, err := exec.Command(remove).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", remove, err, out)
	}
	need(t, lab.Until(patience, "the program is gone", func() bool { return !p.Running() }))
	for _, path := range []string{"/run/netns/" + a.Namespace, n.Dir()} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want that it is gone", path, err)
		}
	}
}

// TestNothingIsLeftAfterPanic runs this test binary again as a program that
// builds a network, starts a program in it, and dies.
func TestNothingIsLeftAfterPanic(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LAB_TEST_PANIC=1")
	out, err := cmd.StdoutPipe()
	need(t, err)
	need(t, cmd.Start())
	var facts []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		facts = append(facts, lines.Text())
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the program ended well, want a panic")
	}
	if len(facts) != 3 {
		t.Fatalf("the program said %q, want a namespace, a folder and a pid", facts)
	}
	need(t, lab.Until(patience, "everything is gone", func() bool {
		_, namespace := os.Stat("/run/netns/" + facts[0])
		_, folder := os.Stat(facts[1])
		_, process := os.Stat("/proc/" + facts[2])
		return os.IsNotExist(namespace) && os.IsNotExist(folder) && os.IsNotExist(process)
	}))
}

func panicInside() {
	n, err := lab.New()
	if err != nil {
		panic(err)
	}
	a, err := n.Node("a")
	if err != nil {
		panic(err)
	}
	p, err := a.Start(lab.Command{Name: "sleeper", Args: []string{"sleep", "600"}})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n%s\n%d\n", a.Namespace, n.Dir(), p.Pid())
	panic("careless")
}

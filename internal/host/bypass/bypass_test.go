package bypass_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"fairlead/internal/host/bypass"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

var need = labtest.Need

// look is what Programs finds in a node.
func look(t *testing.T, d *lab.Node, ports ...uint16) (found []bypass.Program) {
	t.Helper()
	need(t, d.Do(func() (err error) {
		found, err = bypass.Programs(ports...)
		return err
	}))
	return found
}

// A program that has both kinds of sockets is found, by its name, and only in its own namespace.
// A program that has one kind is not found.
func TestPrograms(t *testing.T) {
	host, other := labtest.Pair(t, "host", "h0", "other", "o0")
	_, err := host.IP("addr add 192.0.2.1/24 dev h0")
	need(t, err)
	if got := look(t, host, 67, 547); len(got) != 0 {
		t.Fatalf("nobody is there, found %+v", got)
	}
	// dhcrelay for DHCPv4 reads and sends frames, and has a UDP socket as well.
	relay, err := host.Start(lab.Command{Name: "dhcrelay", Args: []string{"dhcrelay", "-d", "-4", "-i", "h0", "192.0.2.2"}})
	need(t, err)
	only, err := host.Start(lab.Command{Name: "socat", Args: []string{"socat", "-u", "UDP6-RECV:547", "STDOUT"}})
	need(t, err)
	frames, err := host.Start(lab.Command{Name: "tcpdump", Args: []string{"tcpdump", "-Z", "root", "-n", "-i", "h0"}})
	need(t, err)
	need(t, frames.Logged(30*time.Second, "listening on"))
	need(t, lab.Until(30*time.Second, "dhcrelay is found", func() bool { return len(look(t, host, 67, 547)) > 0 }))
	got := look(t, host, 67, 547)
	if len(got) != 1 || got[0].Name != "dhcrelay" || got[0].PID != relay.Pid() || !slices.Equal(got[0].Port, []uint16{67}) {
		t.Errorf("found %+v, want dhcrelay %d at 67 (socat is %d, tcpdump %d)", got, relay.Pid(), only.Pid(), frames.Pid())
	}
	if got := look(t, host, 547); len(got) != 0 {
		t.Errorf("at 547 there is nobody of the kind, found %+v", got)
	}
	if got := look(t, other, 67, 547); len(got) != 0 {
		t.Errorf("in another namespace found %+v", got)
	}
	need(t, relay.Stop())
	if got := look(t, host, 67, 547); len(got) != 0 {
		t.Errorf("after its end found %+v", got)
	}
}

func TestMain(m *testing.M) {
	if _, err := exec.LookPath("dhcrelay"); err != nil {
		println("dhcrelay is needed: scripts/packages test")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

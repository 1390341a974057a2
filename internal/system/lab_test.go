package system_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/routing"
)

// machine describes what programs of others could have changed outside their namespaces: files in
// their usual folders, links, routes and filters.
func machine(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, folder := range []string{
		"/etc/dibbler", "/etc/kea", "/etc/dhcp", "/etc/wide-dhcpv6", "/etc/frr", "/etc/bird", "/etc/resolv.conf",
		"/var/lib/dhcpcd", "/var/lib/dhcpv6", "/var/lib/dibbler", "/var/lib/kea", "/var/lib/dhcp", "/var/log/dibbler", "/var/log/kea",
		"/run/dhcpcd", "/run/kea", "/run/frr", "/run/bird",
	} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if path == folder && entry.IsDir() {
				return nil // that this exists means nothing: FRR makes it if no package has
			}
			size := info.Size()
			if entry.IsDir() {
				size = 0
			}
			fmt.Fprintln(&b, path, info.Mode(), size, info.ModTime())
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	for _, command := range []string{
		"ip -o link", "ip -6 route show table all", "ip -4 route show table all", "ip -o addr", "nft list ruleset",
	} {
		args := strings.Fields(command)
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		fmt.Fprintf(&b, "%s\n%s", command, out)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if !strings.Contains(line, " /run/netns") { // other tests may be running
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestMachineIsLeftAsItWas starts every program of the lab, ends some of them in order and others
// by SIGKILL, and compares the machine with its state before.
func TestMachineIsLeftAsItWas(t *testing.T) {
	before := machine(t)
	n, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	everything(t, n)
	if t.Failed() {
		t.Log(n.Logs(20))
	}
	if err := n.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(machine(t), "\n")); diff != "" {
		t.Errorf("the machine has changed (-before +after):\n%s", diff)
	}
}

func everything(t *testing.T, n *lab.Net) {
	t.Helper()
	top, err := n.Topology(lab.Plan{Clients: len(peer.ClientKinds), Dynamic: true})
	if err != nil {
		t.Fatal(err)
	}
	record, err := capture.Start(top.Relay, "any", capture.DHCPv6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := routing.StartFRR(top.Relay, top.Core, routing.Config{}); err != nil {
		t.Error(err)
	}
	for i, kind := range peer.ServerKinds { // only one program of a node can have port 547
		server, address := top.Server, lab.ServerAddress
		if i > 0 {
			address = lab.ExtraServerAddress(i + 1)
			if server, err = top.AddServer(i + 1); err != nil {
				t.Fatal(err)
			}
		}
		p, err := peer.StartServer(server, kind, peer.ServerConfig{Address: address})
		if err != nil {
			t.Error(err)
			continue
		}
		if i == 0 {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	for i, kind := range peer.ClientKinds {
		c, err := peer.StartClient(top.Client(i+1), kind, peer.ClientConfig{})
		if err != nil {
			t.Error(err)
			continue
		}
		// When its Solicit is on the wire, the program has shown that it works.
		from, err := top.Client(i + 1).LinkLocal("c0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := record.Wait(labtest.Patience, "dhcpv6.msgtype == 1 && ipv6.src == "+from.String(), "frame.number"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if i%2 == 0 {
			if err := c.Crash(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := record.Stop(); err != nil {
		t.Error(err)
	}
	if err := record.Check(); err != nil {
		t.Error(err)
	}
}

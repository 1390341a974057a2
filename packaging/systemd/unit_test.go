// Package systemd tests that the files here agree with the program, and that
// systemd understands them.
package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fairlead/internal/app/config"
)

// settings are the last value of each key of a unit.
func settings(t *testing.T, file string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			found[key] = value
		}
	}
	return found
}

// The folders that systemd makes are those that the program uses by default.
func TestUnitFitsTheDefaults(t *testing.T) {
	unit, c := settings(t, "fairlead.service"), config.Default()
	for what, pair := range map[string][2]string{
		"state folder":   {filepath.Join("/var/lib", unit["StateDirectory"]), c.State},
		"control socket": {filepath.Join("/run", unit["RuntimeDirectory"]), filepath.Dir(c.Control.Socket)},
		"group":          {unit["Group"], c.Control.Group},
		"start":          {unit["ExecStart"], "/usr/bin/fairlead run --config /etc/" + unit["ConfigurationDirectory"] + "/fairlead.yaml"},
		"type":           {unit["Type"], "notify-reload"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: the unit has %q, the program %q", what, pair[0], pair[1])
		}
	}
	const needed = "CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE"
	for _, key := range []string{"CapabilityBoundingSet", "AmbientCapabilities"} {
		if unit[key] != needed {
			t.Errorf("%s: %q, want %q and nothing else", key, unit[key], needed)
		}
	}
}

func TestGuardUnitFitsTheDefaults(t *testing.T) {
	unit, c := settings(t, "fairlead-guard.service"), config.DefaultGuard()
	for what, pair := range map[string][2]string{
		"control socket": {filepath.Join("/run", unit["RuntimeDirectory"]), filepath.Dir(c.Control.Socket)},
		"group":          {unit["Group"], c.Control.Group},
		"start":          {unit["ExecStart"], "/usr/bin/fairlead guard --config /etc/" + unit["ConfigurationDirectory"] + "/guard.yaml"},
		"type":           {unit["Type"], "notify-reload"},
		"capabilities":   {unit["CapabilityBoundingSet"], "CAP_NET_ADMIN CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: the unit has %q, the program %q", what, pair[0], pair[1])
		}
	}
	// Two units with one folder would take it from each other: what is for the time of
	// running goes when one stops, and all that is in others changes its owner, who is
	// another one in each unit, when one starts.
	for _, folder := range []string{"RuntimeDirectory", "StateDirectory", "LogsDirectory"} {
		if other := settings(t, "fairlead.service")[folder]; other != "" && unit[folder] == other {
			t.Errorf("%s: both units have %s", folder, other)
		}
	}
}

// With no more than its capabilities the guard sees the sockets of a program that
// another user runs.
func TestGuardUnitSeesOthersSockets(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("probe: setpriv: ", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("probe: not root")
	}
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	bounds := "-all"
	for _, c := range strings.Fields(settings(t, "fairlead-guard.service")["CapabilityBoundingSet"]) {
		bounds += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	fds := fmt.Sprintf("/proc/%d/fd", other.Process.Pid)
	if out, err := exec.Command(setpriv, "--bounding-set", bounds, "readlink", fds+"/0").CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", bounds, err, out)
	}
}

func TestProtocolName(t *testing.T) {
	b, err := os.ReadFile("rt_protos.d/fairlead.conf")
	if err != nil {
		t.Fatal(err)
	}
	want := strconv.Itoa(int(config.Default().Host.Protocol)) + " fairlead\n"
	if !strings.HasSuffix(string(b), "\n"+want) {
		t.Errorf("rt_protos.d names %q, want %q", b, want)
	}
}

// systemd itself reads the units, and has nothing to say but what it must.
func TestUnitsVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("probe: systemd-analyze: ", err)
	}
	program, err := os.Executable() // stands in for a program that is not installed
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"fairlead.service", "fairlead-guard.service"} {
		unit, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(unit), "/usr/bin/fairlead", program)), 0o644); err != nil {
			t.Fatal(err)
		}
		if file == "fairlead.service" {
			if err := os.CopyFS(path+".d", os.DirFS(file+".d")); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze verify: %v", err)
		}
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "ignoring: notify-reload") { // before systemd 253
				t.Errorf("systemd-analyze verify: %s", line)
			}
		}
	}
}

package load_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// patience is the time to wait for something that surely happens, however slow the machine is.
const patience = labtest.Patience

// These are used in most tests.
var (
	need  = labtest.Need
	cable = labtest.Cable
)

// These are the clients, by index, that the tests with Kea on the link play.
const (
	playedFirst = 1000
	played      = 60
)

// kea returns a server that serves the clients of the link s0 directly. Its kernel knows the
// clients already, by entries of the neighbour table that were made by hand: the table is shared
// by all namespaces, and others may have filled it, but it always has room for such entries.
func kea(t *testing.T, d *lab.Node) *lab.Proc {
	t.Helper()
	var lines []string
	for n := range uint32(played) {
		mac := loadgen.MAC(playedFirst + n)
		lines = append(lines, fmt.Sprintf("neigh add %s lladdr %s dev s0 nud permanent",
			netip.AddrFrom16(loadgen.LinkLocal(playedFirst+n)), net.HardwareAddr(mac[:])))
	}
	need(t, d.Batch(lines...))
	dir, err := d.Folder("kea")
	need(t, err)
	type m = map[string]any
	p, err := peer.RunKea(d, "kea", 6, m{
		"interfaces-config":  m{"interfaces": []string{"s0"}},
		"lease-database":     m{"type": "memfile", "persist": true, "name": filepath.Join(dir, "leases.csv"), "lfc-interval": 0},
		"server-id":          m{"type": "LL", "htype": 1, "identifier": "0200000000ff", "persist": false},
		"preferred-lifetime": 3000, "valid-lifetime": 4000,
		"option-data": []m{{"name": "dns-servers", "data": "2001:db8::53"}},
		"subnet6": []m{{
			"id": 1, "subnet": "2001:db8:1::/64", "interface": "s0", "rapid-commit": true,
			"pools":    []m{{"pool": "2001:db8:1::1:0 - 2001:db8:1::1:ffff"}},
			"pd-pools": []m{{"prefix": "2001:db8:1000::", "prefix-len": 40, "delegated-len": 56}},
		}},
	})
	need(t, err)
	return p
}

// leases returns the lines of Kea's own lease file.
func leases(t *testing.T, d *lab.Node, folder, name string) [][]string {
	t.Helper()
	dir, err := d.Folder(folder)
	need(t, err)
	text, err := os.ReadFile(filepath.Join(dir, name))
	need(t, err)
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		rows = append(rows, strings.Split(strings.TrimSpace(line), ","))
	}
	return rows[1:] // the first names the columns
}

// Report is what the program prints at the end, as its documentation has it.
type Report struct {
	Event      string
	Seconds    float64
	Offered    int
	Answered   int
	Late       int
	Lost       int
	SendFailed int                                       `json:"send_failed"`
	Latency    struct{ Min, P50, P90, P99, Max float64 } `json:"latency_us"`
	Kinds      map[string]struct{ Offered, Answered, Late, Lost int }
	Unexpected int
	Status     map[string]int
	Exhausted  bool
}

// outcome is the result of a run.
type outcome struct {
	events []string // in order
	Report
	out  string
	err  string
	code int
}

// run plays with --json and the arguments in words.
func run(t *testing.T, d *lab.Node, words string) outcome {
	t.Helper()
	var o outcome
	args := append([]string{labtest.Program(), "load", "--json"}, strings.Fields(words)...)
	var err error
	o.out, err = d.Run(args...)
	if err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			t.Fatal(err)
		}
		o.code, o.err = failed.ExitCode(), err.Error()
	}
	for line := range strings.Lines(o.out) {
		var r Report
		need(t, json.Unmarshal([]byte(line), &r))
		o.events = append(o.events, r.Event)
		if r.Event == "result" {
			o.Report = r
		}
	}
	return o
}

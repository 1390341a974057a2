package dhcp4_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"fairlead/internal/lab/dissect"
	"fairlead/internal/wire/dhcp4"
)

// golden is a file of testdata/golden: a packet that was written by hand from the figures of the
// RFCs, with what the package, tshark and scapy must read in it.
type golden struct {
	name                string
	packet              []byte
	want, tshark, scapy string
}

func goldens(t testing.TB) (list []golden) {
	t.Helper()
	paths, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden packets: %v", err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{name: filepath.Base(path)}
		for _, f := range archive.Files {
			switch f.Name {
			case "hex":
				g.packet = octets(t, string(f.Data))
			case "want":
				g.want = string(f.Data)
			case "tshark":
				g.tshark = string(f.Data)
			case "scapy":
				g.scapy = string(f.Data)
			default:
				t.Fatalf("%s: unknown section %s", path, f.Name)
			}
		}
		list = append(list, g)
	}
	return list
}

func TestGoldens(t *testing.T) {
	for _, g := range goldens(t) {
		if diff := cmp.Diff(g.want, render(g.packet)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", g.name, diff)
		}
	}
}

func TestTsharkAgreesOnGoldens(t *testing.T) {
	var packets [][]byte
	var want []dissection
	var names, fields []string
	for _, g := range goldens(t) {
		if g.tshark == "" {
			continue
		}
		d := dissection{}
		for line := range strings.Lines(g.tshark) {
			field, values, _ := strings.Cut(strings.TrimSpace(line), ": ")
			field = strings.Replace(field, "option82.", agentField, 1)
			if d[field] = strings.Fields(values); field == dissect.Malformed || field == dissect.Complaint {
				d[field] = strings.Split(values, "; ")
			}
			if !slices.Contains(fields, field) {
				fields = append(fields, field)
			}
		}
		names, packets, want = append(names, g.name), append(packets, g.packet), append(want, d)
	}
	for _, f := range []string{dissect.Malformed, dissect.Complaint} {
		if !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	for i, got := range tshark(t, packets, fields) {
		for _, f := range fields {
			// A golden file names only the fields that matter in it.
			if expected, named := want[i][f]; named || f == dissect.Malformed || f == dissect.Complaint {
				if diff := cmp.Diff(expected, got[f]); diff != "" {
					t.Errorf("%s: %s (-want +tshark):\n%s", names[i], f, diff)
				}
			}
		}
	}
}

// render writes what is read in a packet: one field, option or sub-option in each line.
func render(b []byte) string {
	m, err := dhcp4.ParseMessage(b)
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%v op=%d hops=%d xid=%08x secs=%d flags=%04x\n", m.Type(), m.Op(), m.Hops(), m.XID(), m.Secs(), m.Flags())
	fmt.Fprintf(&s, "ciaddr=%v yiaddr=%v siaddr=%v giaddr=%v chaddr=%x\n", m.CIAddr(), m.YIAddr(), m.SIAddr(), m.GIAddr(), m.CHAddr())
	for c, payload := range m.Options().All() {
		fmt.Fprintf(&s, "  %s\n", strings.TrimSpace(fmt.Sprintf("%v %x", c, payload)))
	}
	a, ok, err := m.AgentInformation(nil)
	if ok {
		s.WriteString("option 82\n")
	}
	for c, value := range a.All() {
		fmt.Fprintf(&s, "  %s\n", strings.TrimSpace(fmt.Sprintf("%v %x", c, value)))
	}
	if err != nil {
		fmt.Fprintf(&s, "error: %v\n", err)
	}
	before, end, _ := m.Split()
	fmt.Fprintf(&s, "%d octets, %d of them from the End option on\n", len(before)+len(end), len(end))
	return s.String()
}

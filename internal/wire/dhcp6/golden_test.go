package dhcp6_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"fairlead/internal/lab/dissect"
	"fairlead/internal/wire/dhcp6"
)

// golden is a file of testdata/golden: a packet written by hand from the RFC's
// figures, what the package must read in it, and what tshark must.
type golden struct {
	name         string
	packet       []byte
	want, tshark string
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
		p, err := decode(g.packet)
		got := render(p)
		if err != nil {
			got += fmt.Sprintf("error: %v\n", err)
		} else if again := build(t, p); !slices.Equal(again, g.packet) {
			t.Errorf("%s: written again as %x, want %x", g.name, again, g.packet)
		}
		if diff := cmp.Diff(g.want, got); diff != "" {
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
			d[field] = strings.Fields(values)
			if !slices.Contains(fields, field) {
				fields = append(fields, field)
			}
		}
		names, packets, want = append(names, g.name), append(packets, g.packet), append(want, d)
	}
	fields = append(fields, dissect.Malformed, dissect.Complaint)
	for i, got := range tshark(t, packets, fields) {
		for _, f := range fields {
			// A golden file names the fields that matter in it.
			if expected, named := want[i][f]; named || f == dissect.Malformed || f == dissect.Complaint {
				if diff := cmp.Diff(expected, got[f]); diff != "" {
					t.Errorf("%s: %s (-want +tshark):\n%s", names[i], f, diff)
				}
			}
		}
	}
}

// render writes p one layer, option or field to a line.
func render(p packet) string {
	var s strings.Builder
	for _, r := range p.Relays {
		fmt.Fprintf(&s, "%v hops=%d link=%v peer=%v\n", dhcp6.MessageType(r.Type), r.Hops, r.Link, r.Peer)
		renderOptions(&s, r.Options, "  ")
	}
	if p.Type != 0 {
		fmt.Fprintf(&s, "%v xid=%06x\n", dhcp6.MessageType(p.Type), p.XID)
		renderOptions(&s, p.Options, "  ")
	}
	return s.String()
}

func renderOptions(s *strings.Builder, options []option, indent string) {
	for _, o := range options {
		var nested []option
		text := ""
		switch v := o.Value.(type) {
		case iaValue:
			nested = v.Options
			text = fmt.Sprintf("iaid=%d t1=%v t2=%v", v.IAID, dhcp6.Lifetime(v.T1), dhcp6.Lifetime(v.T2))
		case addressValue:
			nested = v.Options
			text = fmt.Sprintf("%v preferred=%v valid=%v", v.Address, dhcp6.Lifetime(v.Preferred), dhcp6.Lifetime(v.Valid))
		case prefixValue:
			nested = v.Options
			text = fmt.Sprintf("%v/%d preferred=%v valid=%v", v.Address, v.Bits, dhcp6.Lifetime(v.Preferred), dhcp6.Lifetime(v.Valid))
		case statusValue:
			text = fmt.Sprintf("%v %q", dhcp6.StatusCode(v.Code), v.Text)
		case remoteValue:
			text = fmt.Sprintf("enterprise=%d %x", v.Enterprise, v.ID)
		case []byte:
			text = fmt.Sprintf("%x", v)
		}
		s.WriteString(strings.TrimRight(indent+dhcp6.OptionCode(o.Code).String()+" "+text, " ") + "\n")
		renderOptions(s, nested, indent+"  ")
	}
}

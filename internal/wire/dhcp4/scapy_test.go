package dhcp4_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scapyProgram reads a packet in hexadecimal from each line, and writes what scapy reads in it as
// a list of lines in JSON.
const scapyProgram = `
import json, sys
from scapy.layers.dhcp import BOOTP, DHCP
for line in sys.stdin:
    p = BOOTP(bytes.fromhex(line))
    text = [f'{f}={getattr(p, f)}' for f in 'op hlen hops xid secs flags ciaddr yiaddr siaddr giaddr'.split()]
    lines = [' '.join(text), 'chaddr=' + p.chaddr[:p.hlen].hex()]
    for o in p[DHCP].options if DHCP in p else []:
        lines.append(o if isinstance(o, str) else ' '.join([str(o[0])] + [v.hex() if isinstance(v, bytes) else str(v) for v in o[1:]]))
    while lines[-1] == 'pad':
        lines.pop()
    print(json.dumps(lines))
`

// Scapy reads in the golden packets what their files say. It is a second decoder that is
// independent of ours. It is a package of Debian's own interpreter.
func TestScapyAgreesOnGoldens(t *testing.T) {
	var in bytes.Buffer
	var list []golden
	for _, g := range goldens(t) {
		if g.scapy != "" {
			list = append(list, g)
			fmt.Fprintf(&in, "%x\n", g.packet)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", scapyProgram)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scapy: %v; this test is nothing without it: apt-get install python3-scapy\n%s", err, stderr.String())
	}
	answers := json.NewDecoder(bytes.NewReader(out))
	for _, g := range list {
		var lines []string
		if err := answers.Decode(&lines); err != nil {
			t.Fatalf("%s: %v\n%s", g.name, err, stderr.String())
		}
		got := ""
		for _, line := range lines {
			got += line + "\n"
		}
		if diff := cmp.Diff(g.scapy, got); diff != "" {
			t.Errorf("%s (-want +scapy):\n%s", g.name, diff)
		}
	}
}

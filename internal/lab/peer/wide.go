package peer

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"fairlead/internal/lab"
)

type wide struct{}

func (wide) configure(c *Client) (lab.Command, error) {
	if len(c.Config.DUID) > 0 {
		own, err := c.Node.Private(string(c.Kind), "/var/lib/dhcpv6")
		if err != nil {
			return lab.Command{}, err
		}
		file := binary.NativeEndian.AppendUint16(nil, uint16(len(c.Config.DUID)))
		if err := os.WriteFile(filepath.Join(own, "dhcp6c_duid"), append(file, c.Config.DUID...), 0o644); err != nil {
			return lab.Command{}, fmt.Errorf("peer: %w", err)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "interface %s {\n", c.Config.Interface)
	if !c.Config.NoAddress {
		b.WriteString("\tsend ia-na 1;\n")
	}
	for i := range c.Config.Prefixes {
		fmt.Fprintf(&b, "\tsend ia-pd %d;\n", 11+i)
	}
	b.WriteString("};\n")
	if !c.Config.NoAddress {
		b.WriteString("id-assoc na 1 { };\n")
	}
	for i := range c.Config.Prefixes {
		fmt.Fprintf(&b, "id-assoc pd %d {\n\tprefix-interface %s { sla-id %d; sla-len 8; ifid %d; };\n};\n",
			11+i, c.Config.LAN, i+1, i+1)
	}
	conf, err := c.write("dhcp6c.conf", b.String(), 0o644)
	return lab.Command{
		Args:    []string{"dhcp6c", "-f", "-D", "-c", conf, "-p", filepath.Join(c.Dir, "pid"), c.Config.Interface},
		Private: []string{"/var/lib/dhcpv6"},
	}, err
}

// wideSays matches the lines of dhcp6c's debug log that are about prefixes. Its script is not
// told of prefixes.
var wideSays = regexp.MustCompile(`(create a|update a|update|remove a|remove|invalidate a) prefix ([0-9a-f:]+/[0-9]+)`)

func (wide) prefixes(c *Client) []netip.Prefix {
	var held []netip.Prefix
	for _, m := range wideSays.FindAllStringSubmatch(c.proc.Log(), -1) {
		p, err := netip.ParsePrefix(m[2])
		if err != nil {
			continue
		}
		kept := held[:0]
		for _, h := range held {
			if h != p {
				kept = append(kept, h)
			}
		}
		held = kept
		if strings.HasPrefix(m[1], "create") || strings.HasPrefix(m[1], "update") {
			held = append(held, p)
		}
	}
	return held
}

func (wide) ask(c *Client, what demand) error {
	if what == release {
		return c.signalAndEnd(syscall.SIGTERM)
	}
	return fmt.Errorf("peer: %s: %s: %w", c.Kind, what, ErrUnable)
}

package peer

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
)

type dhcpcd struct{}

// dhcpcdHook gets all prefixes of the lease with each event. A prefix that the server took away
// is among them, with a valid lifetime of 0.
const dhcpcdHook = `
[ "$interface" = "$interface_asked" ] || exit 0
case $reason in
BOUND6 | RENEW6 | REBIND6 | REBOOT6)
	{
		echo clear
		env | sed -n 's/^\(new_dhcp6_ia_pd[0-9]*_prefix[0-9]*\)=.*/\1/p' | while read -r name; do
			eval "prefix=\$$name length=\$${name}_length valid=\$${name}_vltime"
			[ "$valid" = 0 ] || echo "add $prefix/$length"
		done
	} >>"$events"
	;;
EXPIRE6 | RELEASE6 | STOP6) echo clear >>"$events" ;;
esac
exit 0
`

func (dhcpcd) configure(c *Client) (lab.Command, error) {
	hook, err := c.hook(dhcpcdHook)
	if err != nil {
		return lab.Command{}, err
	}
	var b strings.Builder
	duid := "duid ll"
	if len(c.Config.DUID) > 0 {
		duid = "duid"
		own, err := c.Node.Private(string(c.Kind), "/var/lib/dhcpcd")
		if err != nil {
			return lab.Command{}, err
		}
		if err := os.WriteFile(filepath.Join(own, "duid"), []byte(colons(c.Config.DUID)+"\n"), 0o644); err != nil {
			return lab.Command{}, fmt.Errorf("peer: %w", err)
		}
	}
	// noipv6rs starts DHCPv6 without a router advertisement. With a reboot time, SIGHUP makes
	// dhcpcd rebind instead of starting from the beginning.
	fmt.Fprintf(&b, "%s\nipv6only\nnoipv6rs\nnogateway\nnoarp\npersistent\nreboot 5\ntimeout 60\n", duid)
	fmt.Fprintf(&b, "interface %s\n\tiaid 1\n", c.Config.Interface)
	if !c.Config.NoAddress {
		b.WriteString("\tia_na 1\n")
	}
	for i := range c.Config.Prefixes {
		fmt.Fprintf(&b, "\tia_pd %d/::/56 %s/%d\n", 11+i, c.Config.LAN, i+1)
	}
	fmt.Fprintf(&b, "interface %s\n\tnodhcp6\n", c.Config.LAN)
	conf, err := c.write("dhcpcd.conf", b.String(), 0o644)
	return lab.Command{
		Args:    []string{"dhcpcd", "-B", "-d", "-6", "-f", conf, "-c", hook, c.Config.Interface},
		Private: []string{"/var/lib/dhcpcd", "/run"},
	}, err
}

func (dhcpcd) prefixes(c *Client) []netip.Prefix { return c.hooked() }

func (dhcpcd) ask(c *Client, what demand) error {
	switch what {
	case renew:
		return signalDhcpcd(c.proc, syscall.SIGUSR1)
	case rebind:
		return signalDhcpcd(c.proc, syscall.SIGHUP)
	}
	if err := signalDhcpcd(c.proc, syscall.SIGALRM); err != nil {
		return err
	}
	return lab.Until(ready, "dhcpcd ends", func() bool { return !c.proc.Running() })
}

// signalDhcpcd sends a signal, again and again, until the log says that it was received: a signal
// that comes while a script runs can be lost.
func signalDhcpcd(p *lab.Proc, sig syscall.Signal) error {
	word := "received " + unix.SignalName(sig)
	before := strings.Count(p.Log(), word)
	for start := time.Now(); ; {
		if err := p.Signal(sig); err != nil {
			return err
		}
		err := lab.Until(2*time.Second, "dhcpcd logs "+word, func() bool {
			return strings.Count(p.Log(), word) > before || !p.Running()
		})
		if err == nil || time.Since(start) > ready {
			return err
		}
	}
}

// colons writes octets as "00:03:00:01".
func colons(octets []byte) string {
	var parts []string
	for _, o := range octets {
		parts = append(parts, fmt.Sprintf("%02x", o))
	}
	return strings.Join(parts, ":")
}

package peer

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"fairlead/internal/lab"
)

type dhclient struct{}

// dhclientHook is called once for each prefix. dhclient itself does nothing with a prefix; the
// script has to do it.
const dhclientHook = `
case $reason in
BOUND6 | RENEW6 | REBIND6)
	if [ -n "$new_ip6_prefix" ]; then
		echo "add $new_ip6_prefix" >>"$events"
		ip -6 addr replace "${new_ip6_prefix%/*}1/64" dev "$lan" nodad
	fi
	;;
EXPIRE6 | RELEASE6 | STOP6)
	prefix=${old_ip6_prefix:-$cur_ip6_prefix}
	if [ -n "$prefix" ]; then
		echo "del $prefix" >>"$events"
		ip -6 addr del "${prefix%/*}1/64" dev "$lan"
	fi
	;;
esac
exit 0
`

func (dhclient) configure(c *Client) (lab.Command, error) {
	hook, err := c.hook(dhclientHook)
	if err != nil {
		return lab.Command{}, err
	}
	leases := filepath.Join(c.Dir, "leases")
	if len(c.Config.DUID) > 0 {
		text := fmt.Sprintf("default-duid \"\\x%s\";\n", strings.ReplaceAll(colons(c.Config.DUID), ":", `\x`))
		if err := os.WriteFile(leases, []byte(text), 0o644); err != nil {
			return lab.Command{}, fmt.Errorf("peer: %w", err)
		}
	} else if err := touch(leases); err != nil {
		return lab.Command{}, err
	}
	return lab.Command{Args: append([]string{"dhclient", "-6", "-d", "-v", "-D", "LL"}, c.dhclientArgs(hook)...)}, nil
}

// dhclientArgs are the arguments that a Release needs as well.
func (c *Client) dhclientArgs(hook string) []string {
	args := []string{
		"-cf", "/dev/null", "-sf", hook,
		"-lf", filepath.Join(c.Dir, "leases"), "-pf", filepath.Join(c.Dir, "pid"),
	}
	if !c.Config.NoAddress {
		args = append(args, "-N")
	}
	for range c.Config.Prefixes {
		args = append(args, "-P")
	}
	return append(args, c.Config.Interface)
}

func (dhclient) prefixes(c *Client) []netip.Prefix { return c.hooked() }

func (dhclient) ask(c *Client, what demand) error {
	switch what {
	case rebind:
		if err := c.proc.Stop(); err != nil { // without -r, dhclient sends no Release when it ends
			return err
		}
		return c.Start()
	case release:
		args := c.dhclientArgs(filepath.Join(c.Dir, "hook"))
		p, err := c.Node.Start(lab.Command{Name: string(c.Kind) + "-release", Args: append([]string{"dhclient", "-6", "-r", "-v"}, args...)})
		if err != nil {
			return err
		}
		if err := p.Wait(ready); err != nil {
			return err
		}
		return lab.Until(ready, "dhclient ends", func() bool { return !c.proc.Running() })
	}
	return fmt.Errorf("peer: %s: %s: %w", c.Kind, what, ErrUnable)
}

package peer

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"fairlead/internal/lab"
)

type dibbler struct{}

// dibblerHook gets the prefixes of one IA, by number. If the home network is the only one,
// dibbler gives it no address, so the hook does.
const dibblerHook = `
n=1
while eval "prefix=\$PREFIX$n length=\$PREFIX${n}LEN valid=\$PREFIX${n}VALID" && [ -n "$prefix" ]; do
	case $1 in
	add | update)
		if [ "$valid" != 0 ]; then
			echo "add $prefix/$length" >>"$events"
			ip -6 addr replace "${prefix}1/64" dev "$lan" nodad
		fi
		;;
	delete | expire)
		echo "del $prefix/$length" >>"$events"
		ip -6 addr del "${prefix}1/64" dev "$lan"
		;;
	esac
	n=$((n + 1))
done
exit 0
`

func (dibbler) configure(c *Client) (lab.Command, error) {
	hook, err := c.hook(dibblerHook)
	if err != nil {
		return lab.Command{}, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "log-level 8\nlog-mode full\nlog-colors 0\nduid-type duid-ll\ninactive-mode\n")
	fmt.Fprintf(&b, "downlink-prefix-ifaces %q\nscript %q\niface %q {\n", c.Config.LAN, hook, c.Config.Interface)
	if !c.Config.NoAddress {
		b.WriteString("\tia { }\n")
	}
	for range c.Config.Prefixes {
		b.WriteString("\tpd { }\n")
	}
	b.WriteString("}\n")
	files := map[string]string{"/etc/dibbler/client.conf": b.String()}
	if len(c.Config.DUID) > 0 {
		files["/var/lib/dibbler/client-duid"] = colons(c.Config.DUID)
	}
	for path, text := range files {
		own, err := c.Node.Private(string(c.Kind), filepath.Dir(path))
		if err != nil {
			return lab.Command{}, err
		}
		if err := os.WriteFile(filepath.Join(own, filepath.Base(path)), []byte(text), 0o644); err != nil {
			return lab.Command{}, fmt.Errorf("peer: %w", err)
		}
	}
	return lab.Command{Args: []string{"dibbler-client", "run"}, Private: dibblerFolders}, nil
}

func (dibbler) prefixes(c *Client) []netip.Prefix { return c.hooked() }

func (dibbler) ask(c *Client, what demand) error {
	if what == release {
		return c.signalAndEnd(syscall.SIGTERM)
	}
	return fmt.Errorf("peer: %s: %s: %w", c.Kind, what, ErrUnable)
}

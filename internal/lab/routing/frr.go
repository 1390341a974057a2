package routing

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"fairlead/internal/lab"
)

// frrFilter is the route-map through which the edge's kernel routes go.
const frrFilter = `ipv6 prefix-list DELEGATED seq 5 deny 2001:db8::/36 le 128
ipv6 prefix-list DELEGATED seq 10 permit 2001:db8::/32 ge 44 le 64
!
route-map RELAY permit 10
 match ipv6 address prefix-list DELEGATED
%s!
`

const frrBGP = `bgp route-map delay-timer 1
!
router bgp %d
 bgp router-id 192.0.2.%d
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 timers bgp 3 9
 neighbor %s remote-as %d
 neighbor %s timers connect 2
 address-family ipv6 unicast
%s  neighbor %s activate
 exit-address-family
`

const frrOSPF = `interface %s
 ipv6 ospf6 area 0.0.0.0
 ipv6 ospf6 network point-to-point
 ipv6 ospf6 hello-interval 1
 ipv6 ospf6 dead-interval 4
!
router ospf6
 ospf6 router-id 192.0.2.%d
%s`

// StartFRR starts zebra and bgpd, or zebra and ospf6d, on both nodes of a topology. It does not
// wait until the two daemons are neighbours.
func StartFRR(edge, core *lab.Node, c Config) (*Pair, error) {
	p := &Pair{edge: edge, core: core}
	if err := p.record(); err != nil {
		return nil, err
	}
	metric := ""
	if c.Metric != 0 {
		metric = fmt.Sprintf(" match metric %d\n", c.Metric)
	}
	filter := fmt.Sprintf(frrFilter, metric)
	daemon, edgeText, coreText := "bgpd",
		filter+fmt.Sprintf(frrBGP, 65001, 1, lab.CoreAddress, 65002, lab.CoreAddress,
			"  redistribute kernel route-map RELAY\n", lab.CoreAddress),
		fmt.Sprintf(frrBGP, 65002, 2, lab.RelayAddress, 65001, lab.RelayAddress, "", lab.RelayAddress)
	if c.OSPF {
		daemon, edgeText, coreText = "ospf6d",
			filter+fmt.Sprintf(frrOSPF, "u0", 1, " redistribute kernel route-map RELAY\n"),
			fmt.Sprintf(frrOSPF, "k0", 2, "")
	}
	for _, side := range []struct {
		node *lab.Node
		text string
	}{{edge, edgeText}, {core, coreText}} {
		if err := startFRRSide(side.node, daemon, side.text); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// startFRRSide starts zebra and a protocol daemon on one node. They share a folder for their
// sockets, which must belong to the user frr.
func startFRRSide(d *lab.Node, daemon, text string) error {
	dir, err := d.Folder("frr")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"zebra": "hostname " + d.Name + "\n", daemon: text} {
		if _, err := write(d, "frr", name+".conf", text); err != nil {
			return err
		}
	}
	if err := giveToFRR(dir); err != nil {
		return err
	}
	for _, name := range []string{"zebra", daemon} {
		proc, err := d.Start(lab.Command{Name: name, Args: []string{
			"/usr/lib/frr/" + name, "-f", filepath.Join(dir, name+".conf"), "-i", filepath.Join(dir, name+".pid"),
			"-z", filepath.Join(dir, "zserv.api"), "--vty_socket", dir, "-P", "0", "--log", "stdout", "--log-level", "info",
		}})
		if err != nil {
			return err
		}
		socket := filepath.Join(dir, name+".vty")
		err = lab.Until(ready, name+" in "+d.Name+" has its socket", func() bool {
			_, err := os.Stat(socket)
			return err == nil || !proc.Running()
		})
		if err != nil || !proc.Running() {
			return fmt.Errorf("routing: %s in %s did not start: %w\n%s", name, d.Name, err, proc.Log())
		}
	}
	return nil
}

// giveToFRR makes the frr user the owner of a folder and of the files in it.
func giveToFRR(dir string) error {
	owner, err := user.Lookup("frr")
	if err != nil {
		return fmt.Errorf("routing: frr is not installed: %w", err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return fmt.Errorf("routing: %w", err)
	}
	for _, path := range append(files, dir) {
		if err := os.Chown(path, uid, gid); err != nil {
			return fmt.Errorf("routing: %w", err)
		}
	}
	return nil
}

// Vtysh runs FRR commands on a node and returns what they print.
func Vtysh(d *lab.Node, commands ...string) (string, error) {
	dir, err := d.Folder("frr")
	if err != nil {
		return "", err
	}
	args := []string{"vtysh", "--vty_socket", dir}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := d.Run(args...)
	return strings.TrimSpace(out), err
}

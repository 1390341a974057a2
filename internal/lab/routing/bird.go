package routing

import (
	"fmt"
	"path/filepath"
	"strings"

	"fairlead/internal/lab"
)

// birdEdge reads the routes of one protocol number from one kernel table. The kernel keeps these
// routes when BIRD ends.
const birdEdge = `router id 192.0.2.1;
log stderr all;
debug protocols { states };
protocol device { scan time 2; }
ipv6 table delegated;
protocol kernel relay {
	learn;
	persist;
	scan time 10;
%s	ipv6 {
		table delegated;
		import where krt_source = %d;
		export none;
	};
}
protocol bgp core {
	local %s as 65001;
	neighbor %s as 65002;
	hold time 9; keepalive time 3; connect delay time 1; connect retry time 2;
	ipv6 {
		table delegated;
		next hop self;
		import none;
		export where source = RTS_INHERIT && net !~ [ 2001:db8::/36+ ] && net ~ [ 2001:db8::/32{44,64} ];
	};
}
`

const birdCore = `router id 192.0.2.2;
log stderr all;
debug protocols { states };
protocol device { scan time 2; }
protocol direct { ipv6; }
protocol kernel {
	ipv6 { import none; export where source = RTS_BGP; };
}
protocol bgp edge {
	local %s as 65002;
	neighbor %s as 65001;
	hold time 9; keepalive time 3; connect delay time 1; connect retry time 2;
	ipv6 { import all; export none; };
}
`

// StartBIRD starts BIRD with BGP on both nodes of a topology. It does not wait until the two
// daemons are neighbours.
func StartBIRD(edge, core *lab.Node, c Config) (*Pair, error) {
	p := &Pair{edge: edge, core: core}
	if err := p.record(); err != nil {
		return nil, err
	}
	protocol, table := 87, ""
	if c.Protocol != 0 {
		protocol = c.Protocol
	}
	if c.Table != 0 {
		table = fmt.Sprintf("\tkernel table %d;\n", c.Table)
	}
	for _, side := range []struct {
		node *lab.Node
		text string
	}{
		{edge, fmt.Sprintf(birdEdge, table, protocol, lab.RelayAddress, lab.CoreAddress)},
		{core, fmt.Sprintf(birdCore, lab.CoreAddress, lab.RelayAddress)},
	} {
		conf, err := write(side.node, "bird", "bird.conf", side.text)
		if err != nil {
			return nil, err
		}
		proc, err := side.node.Start(lab.Command{Name: "bird", Args: []string{
			"bird", "-f", "-c", conf, "-s", filepath.Join(filepath.Dir(conf), "bird.ctl"),
		}})
		if err != nil {
			return nil, err
		}
		if err := proc.Logged(ready, "Started"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Birdc runs one BIRD command on a node and returns what it prints.
func Birdc(d *lab.Node, command string) (string, error) {
	dir, err := d.Folder("bird")
	if err != nil {
		return "", err
	}
	args := append([]string{"birdc", "-s", filepath.Join(dir, "bird.ctl")}, strings.Fields(command)...)
	return d.Run(args...)
}

// Package routing runs routing daemons of other authors on the relay's node and on a core router,
// so that a test can see how delegated prefixes are announced: the relay puts routes into its
// kernel, the daemon beside it reads and announces them, and the daemon of the core router puts
// them into that router's kernel.
//
// The core router must not have such routes of its own (lab.Plan.Dynamic).
//
// For FRR 8.4 all kernel routes are of one kind. It cannot select the relay's routes by protocol
// number, nor, for IPv6, by table. It selects them by prefix-list and, with BGP only, by metric:
// ospf6d accepts a match on the metric and ignores it. BIRD selects by protocol number and by
// table.
//
// A Pair may be used from several goroutines.
package routing

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
)

// ready is how long a daemon may take to start.
const ready = 30 * time.Second

// Config says what the edge announces. It never announces the prefixes of the infrastructure
// itself. Of all other prefixes it announces those with lengths from 44 to 64.
type Config struct {
	// OSPF makes FRR speak OSPFv3 instead of BGP.
	OSPF bool
	// Metric, if not 0, is the metric of the routes that FRR announces (BGP only).
	Metric int
	// Protocol is the route protocol number that BIRD announces: 87 if 0.
	Protocol int
	// Table, if not 0, is the routing table that BIRD announces.
	Table int
}

// Pair is a routing daemon at the edge and one in the core.
type Pair struct {
	edge, core *lab.Node
	wire       *capture.Capture
}

// Announced reports whether the core's kernel has a route to exactly that prefix.
func (p *Pair) Announced(prefix netip.Prefix) bool {
	out, err := p.core.IP("-6 route show exact %s", prefix)
	return err == nil && strings.Contains(out, "via ")
}

// Await waits until the core has a route to the prefix, or, if announced is false, until it has
// none.
func (p *Pair) Await(limit time.Duration, prefix netip.Prefix, announced bool) error {
	what := "the core has a route to "
	if !announced {
		what = "the core has no route to "
	}
	return lab.Until(limit, what+prefix.String(), func() bool { return p.Announced(prefix) == announced })
}

// Update is the content of one BGP message, as tshark reads it.
type Update struct {
	Time      string // seconds since 1970
	Announced []netip.Addr
	Withdrawn []netip.Addr
}

// Updates returns those BGP messages that the edge has sent so far in which prefixes are named.
// Prefixes are shown without their lengths.
func (p *Pair) Updates() ([]Update, error) {
	rows, err := p.wire.Fields("bgp.type == 2 && ipv6.src == "+lab.RelayAddress.String(),
		"frame.time_epoch", "bgp.mp_reach_nlri_ipv6_prefix", "bgp.mp_unreach_nlri_ipv6_prefix")
	var list []Update
	for _, row := range rows {
		u := Update{Time: row[0], Announced: addresses(row[1]), Withdrawn: addresses(row[2])}
		if len(u.Announced)+len(u.Withdrawn) > 0 {
			list = append(list, u)
		}
	}
	return list, err
}

// addresses reads tshark's list.
func addresses(text string) []netip.Addr {
	var list []netip.Addr
	for part := range strings.SplitSeq(text, ",") {
		if a, err := netip.ParseAddr(part); err == nil {
			list = append(list, a)
		}
	}
	return list
}

// record starts the recording that Updates reads.
func (p *Pair) record() error {
	var err error
	p.wire, err = capture.Start(p.core, "k0", "tcp port 179")
	return err
}

// write writes a file into a program's folder and returns its path.
func write(d *lab.Node, program, name, text string) (string, error) {
	dir, err := d.Folder(program)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return "", fmt.Errorf("routing: %w", err)
	}
	return path, nil
}

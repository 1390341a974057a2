package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"fairlead/internal/app/api"
)

// Server6 are the commands of the DHCPv6 server.
func Server6() []Command {
	return []Command{
		Look("server6", "Show the DHCPv6 server: its identity, its links, and what it dropped", "server6", writeServer6),
		Look("pools", "Show how far the pools of the DHCPv6 server are taken", "server6", writePools),
		{Looks, leasesCommand()},
	}
}

func writeServer6(out io.Writer, s api.Server6) error {
	head := newGrid()
	head.row("server-id", s.ServerID)
	head.row("prefixes", s.Prefixes)
	head.row("addresses", s.Addresses)
	if s.Declined > 0 {
		head.row("declined", s.Declined)
	}
	if err := head.write(out); err != nil {
		return err
	}
	if _, err := io.WriteString(out, "\n"); err != nil {
		return err
	}
	if err := writeServed6(out, s.Links); err != nil {
		return err
	}
	return writeLines(out, "", dropLines(s.Drops))
}

func writeServed6(out io.Writer, links []api.Server6Link) error {
	g := newGrid("link", "state", "vrf", "network", "prefixes", "addresses", "received", "sent", "dropped")
	g.right(5, 6, 7, 8, 9)
	for i := range links {
		l := &links[i]
		g.row(l.Name, upWord(l.Up), dash(l.VRF), dash(l.Network), l.Prefixes, l.Addresses, sum(l.Received), sum(l.Sent), sum(l.Drops))
	}
	return g.write(out)
}

func writeServedLink6(out io.Writer, l *api.Server6Link) error {
	g := newGrid()
	g.row("link", l.Name)
	g.row("state", upWord(l.Up))
	g.row("vrf", dash(l.VRF))
	g.row("network", dash(l.Network))
	g.row("prefixes", l.Prefixes)
	g.row("addresses", l.Addresses)
	g.row("received", dash(countsText(l.Received)))
	g.row("sent", dash(countsText(l.Sent)))
	g.row("dropped", dash(countsText(l.Drops)))
	return g.write(out)
}

// dropLines are the reasons for which messages were discarded, a line each.
func dropLines(drops map[string]uint64) (lines []string) {
	for _, reason := range slices.Sorted(maps.Keys(drops)) {
		if n := drops[reason]; n > 0 {
			lines = append(lines, "dropped "+reason+": "+strconv.FormatUint(n, 10))
		}
	}
	return lines
}

func writePools(out io.Writer, s api.Server6) error {
	g := newGrid("network", "subnet", "pool", "size", "taken", "use")
	g.right(4, 5, 6)
	for i := range s.Pools {
		p := &s.Pools[i]
		g.row(p.Network, p.Subnet, p.Name(), p.Size, p.Taken, fmt.Sprintf("%.1f %%", 100*float64(p.Taken)/float64(p.Size)))
	}
	return g.write(out)
}

package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

// Server6 are the commands of the DHCPv6 server.
func Server6() []Command {
	return []Command{
		Look("server6", "Show the DHCPv6 server: its identity, its links, and what it dropped", "server6", writeServer6),
		Look("pools", "Show how far the pools of the DHCPv6 server are taken", "server6", writePools),
		Look("relays", "Show the relay agents that the DHCPv6 server has heard", "relays", writeRelays),
		{Looks, leasesCommand()},
		{Looks, whyCommand()},
		Look("reservations", "Show what was reserved at the DHCPv6 server at run time", "reservations", writeReservations),
		{Changes, reconfigureCommand()},
		{Changes, reserveCommand()},
	}
}

func reconfigureCommand() *cobra.Command {
	var a ask
	var r api.ReconfigureRequest
	var s selection
	cmd := &cobra.Command{
		Use:   "reconfigure [PREFIX]",
		Short: "Have clients of the DHCPv6 server come back now",
		Long: `Ask the clients with leases in this prefix, of this client, or on this link to come back
(RFC 8415 section 18.3.11), as after a change of options or subnets. Only clients that
accept it can be asked. Behind relay agents a client has to be heard once after a restart
of the server before it can be asked.`,
		Example: `  fairlead reconfigure 2001:db8:1::/64
  fairlead reconfigure --client 00:03:00:01:02:00:5e:10:00:01 --message information-request`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 1 {
				if r.Within, err = netip.ParsePrefix(args[0]); err != nil {
					return usagef("%q is no prefix, such as 2001:db8:1::/64", args[0])
				}
			}
			f, err := s.filter()
			if err != nil {
				return err
			}
			r.Client, r.Link = f.Client, f.Link
			if err := r.Check(); err != nil {
				return usagef("%v", err)
			}
			do := func(ctx context.Context, c *api.Client) (api.ReconfigureResult, error) {
				return c.AskBack(ctx, r)
			}
			return change(cmd, &a, do, writeReconfigured)
		},
	}
	s.flags(cmd, &a, false)
	cmd.Flags().BoolVar(&r.All, "all", false, "all clients")
	cmd.Flags().StringVar(&r.Message, "message", "renew", "what they are to send: renew, rebind or information-request")
	a.flags(cmd)
	return cmd
}

func writeReconfigured(out io.Writer, r api.ReconfigureResult) error {
	if r == (api.ReconfigureResult{}) {
		return errNothing
	}
	lines := []string{count(r.Asked, "client is", "clients are") + " asked to come back"}
	if r.Refuse > 0 {
		lines = append(lines, count(r.Refuse, "client does", "clients do")+" not accept to be asked")
	}
	if r.WayUnknown > 0 {
		lines = append(lines, count(r.WayUnknown, "client was", "clients were")+" not heard since the start, so that the way there is not known")
	}
	return writeLines(out, "", lines)
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

func writeRelays(out io.Writer, all []api.RelayAgent) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no relay agent was heard")
		return err
	}
	g := newGrid("peer", "place", "relay-id", "addresses", "link-addresses", "hops", "messages", "first", "last")
	g.right(6, 7)
	for i := range all {
		x := &all[i]
		place := "behind it"
		if x.Nearest {
			place = "itself"
		}
		g.row(x.Peer, place, dash(x.RelayID.String()), dash(addressesText(x.Addresses)), dash(addressesText(x.LinkAddresses)), x.Hops, x.Messages, clockTime(x.First), clockTime(x.Last))
	}
	return g.write(out)
}

func addressesText(all []netip.Addr) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " ")
}

package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

func linksCommand() *cobra.Command {
	var a ask
	var all bool
	cmd := &cobra.Command{
		Use:   "links [LINK]",
		Short: "Show client-facing links, or all that is known of one",
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return look(cmd, &a, oneLink(args[0]), writeLink)
			}
			return look(cmd, &a, someLinks(all), writeLinks)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return linkNames(cmd.Context(), &a), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "show links that face no clients, too")
	a.flags(cmd)
	return cmd
}

func someLinks(all bool) func(context.Context, *api.Client) ([]api.Link, error) {
	return func(ctx context.Context, c *api.Client) ([]api.Link, error) {
		links, err := c.Links(ctx)
		if !all {
			links = slices.DeleteFunc(links, func(l api.Link) bool { return !l.ClientFacing })
		}
		return links, err
	}
}

func oneLink(name string) func(context.Context, *api.Client) (api.Link, error) {
	return func(ctx context.Context, c *api.Client) (api.Link, error) {
		links, err := c.Links(ctx)
		if err != nil {
			return api.Link{}, err
		}
		i := slices.IndexFunc(links, func(l api.Link) bool { return l.Name == name })
		if i < 0 {
			return api.Link{}, fmt.Errorf("%s: no such link", name)
		}
		return links[i], nil
	}
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// stateWord is what the kernel says of an interface.
func stateWord(l *api.Link) string {
	switch {
	case !l.Up:
		return "down"
	case !l.Running:
		return "no carrier"
	}
	return "up"
}

func facing(l *api.Link) string {
	switch {
	case !l.ClientFacing:
		return "-"
	case l.Shared:
		return "shared"
	}
	return "single"
}

func writeLinks(out io.Writer, links []api.Link) error {
	if len(links) == 0 {
		_, err := fmt.Fprintln(out, "no link")
		return err
	}
	g := newGrid("link", "state", "clients", "link-address", "vrf", "prefixes", "limit", "received", "delivered", "dropped", "refused", "spoofed")
	g.right(6, 7, 8, 9, 10, 11, 12)
	var missing []string
	for i := range links {
		l := &links[i]
		c := &l.Counters
		address := "-"
		if l.LinkAddress.IsValid() {
			address = l.LinkAddress.String()
		}
		if l.LinkAddressMissing {
			address += " *"
			missing = []string{"* no longer on the link: used for an hour at most"}
		}
		g.row(l.Name, stateWord(l), facing(l), address, dash(l.VRF), l.Prefixes, dash(l.Limit), sum(c.Received), sum(c.Delivered), sum(c.Drops), c.Refused, c.Spoofed)
	}
	if err := g.write(out); err != nil {
		return err
	}
	return writeLines(out, "", missing)
}

func prefixesText(all []netip.Prefix) string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = p.String()
	}
	return strings.Join(texts, " ")
}

func writeLink(out io.Writer, l api.Link) error {
	c := &l.Counters
	g := newGrid()
	g.row("link", fmt.Sprintf("%s (index %d)", l.Name, l.Index))
	g.row("state", stateWord(&l))
	g.row("clients", facing(&l))
	g.row("trusted", yes(l.Trusted))
	g.row("point-to-point", yes(l.PointToPoint))
	g.row("mtu", l.MTU)
	g.row("link-layer", dash(l.LinkLayer))
	g.row("vrf", dash(l.VRF))
	g.row("table", l.Table)
	g.row("addresses", dash(prefixesText(l.Addresses)))
	address := l.LinkAddress.String()
	if l.LinkAddressMissing {
		address += " (no longer on the link: used for an hour at most)"
	}
	g.row("link-address", address)
	g.row("interface-id", dash(l.InterfaceID))
	if len(l.Routed) > 0 {
		g.row("permitted", "what routes lead here: "+prefixesText(l.Routed))
	}
	g.row("delegations", fmt.Sprintf("%s of at most %d, %s", count(l.Prefixes, "prefix", "prefixes"), l.Limit, count(l.Assigned, "address", "addresses")))
	g.row("received", dash(countsText(c.Received)))
	g.row("delivered", dash(countsText(c.Delivered)))
	g.row("dropped", dash(countsText(c.Drops)))
	g.row("refused", count(c.Refused, "grant", "grants"))
	spoofed := count(c.Spoofed, "packet", "packets")
	if l.LastSpoofed != nil {
		spoofed += ", the last from " + sourceText(l.LastSpoofed)
	}
	g.row("spoofed", spoofed)
	if c.SensitiveOmitted > 0 {
		g.row("sensitive", fmt.Sprintf("options left out of %s to unprotected peers", count(c.SensitiveOmitted, "message", "messages")))
	}
	return g.write(out)
}

func peersCommand() *cobra.Command {
	var a ask
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Show servers and relays, and when each was last heard",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			get := func(ctx context.Context, c *api.Client) ([]api.Peer, error) { return c.Peers(ctx) }
			return look(cmd, &a, get, writePeers)
		},
	}
	a.flags(cmd)
	return cmd
}

func writePeers(out io.Writer, peers []api.Peer) error {
	g := newGrid("peer", "role", "address", "interfaces", "protection", "sent", "received", "unanswered", "last heard", "with")
	g.right(6, 7, 8)
	for i := range peers {
		p := &peers[i]
		name := p.Name
		if p.Preferred {
			name += " *"
		}
		g.row(name, p.Role, p.Address, strings.Join(p.Interfaces, " "), protectionText(p.Protection, p.Protected, p.Hops), p.Sent, p.Received, p.SinceAnswer, clockTime(p.LastReceived), dash(p.LastType))
	}
	if err := g.write(out); err != nil {
		return err
	}
	var notes []string
	if slices.ContainsFunc(peers, func(p api.Peer) bool { return p.Preferred }) {
		notes = append(notes, "* gets the messages now (forward: first)")
	}
	for i := range peers {
		for j := range peers[i].Hops {
			notes = append(notes, hopWarnings(&peers[i].Hops[j])...)
		}
	}
	return writeLines(out, "", notes)
}

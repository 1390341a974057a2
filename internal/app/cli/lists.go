package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
		Short: "Show client-facing links, or everything about one link",
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

// links are the links of each role; nil where the role is not played or has none.
type links struct {
	Relay6  []api.Link        `json:"relay6,omitzero"`
	Relay4  []api.Relay4Link  `json:"relay4,omitzero"`
	Server6 []api.Server6Link `json:"server6,omitzero"`
}

// link is one link, as each role sees it.
type link struct {
	Relay6  *api.Link        `json:"relay6,omitempty"`
	Relay4  *api.Relay4Link  `json:"relay4,omitempty"`
	Server6 *api.Server6Link `json:"server6,omitempty"`
}

// allLinks asks each role for its links.
func allLinks(ctx context.Context, c *api.Client) (all links, err error) {
	var err6 error
	all.Relay6, err6 = c.Links(ctx)
	relay4, err4 := api.Get[api.Relay4](ctx, c, "relay4")
	server6, errServer := api.Get[api.Server6](ctx, c, "server6")
	all.Relay4, all.Server6 = relay4.Links, server6.Links
	if notPlayed(err6) && notPlayed(err4) && notPlayed(errServer) {
		return all, err6
	}
	for _, err := range []error{err6, err4, errServer} {
		if err != nil && !notPlayed(err) {
			return links{}, err
		}
	}
	return all, nil
}

// notPlayed reports whether an error says that no role answers this path.
func notPlayed(err error) bool {
	var remote *api.RemoteError
	return errors.As(err, &remote) && remote.Code == http.StatusNotFound
}

func someLinks(all bool) func(context.Context, *api.Client) (links, error) {
	return func(ctx context.Context, c *api.Client) (links, error) {
		found, err := allLinks(ctx, c)
		if !all {
			found.Relay6 = slices.DeleteFunc(found.Relay6, func(l api.Link) bool { return !l.ClientFacing })
		}
		return found, err
	}
}

func oneLink(name string) func(context.Context, *api.Client) (link, error) {
	return func(ctx context.Context, c *api.Client) (found link, err error) {
		all, err := allLinks(ctx, c)
		if err != nil {
			return found, err
		}
		if i := slices.IndexFunc(all.Relay6, func(l api.Link) bool { return l.Name == name }); i >= 0 {
			found.Relay6 = &all.Relay6[i]
		}
		if i := slices.IndexFunc(all.Relay4, func(l api.Relay4Link) bool { return l.Name == name }); i >= 0 {
			found.Relay4 = &all.Relay4[i]
		}
		if i := slices.IndexFunc(all.Server6, func(l api.Server6Link) bool { return l.Name == name }); i >= 0 {
			found.Server6 = &all.Server6[i]
		}
		if found == (link{}) {
			return found, fmt.Errorf("%s: no such link", name)
		}
		return found, nil
	}
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// stateWord tells in a word what the kernel says of an interface.
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

func writeLinks(out io.Writer, all links) error {
	if len(all.Relay6)+len(all.Relay4)+len(all.Server6) == 0 {
		_, err := fmt.Fprintln(out, "no link")
		return err
	}
	return writeRoles(
		out,
		ofRole{len(all.Relay6) > 0, "DHCPv6", func() error { return writeLinks6(out, all.Relay6) }},
		ofRole{len(all.Relay4) > 0, "DHCPv4", func() error { return writeLinks4(out, all.Relay4) }},
		ofRole{len(all.Server6) > 0, "DHCPv6 server", func() error { return writeServed6(out, all.Server6) }},
	)
}

// ofRole writes the answer of one role; there is false if the role has none.
type ofRole struct {
	there bool
	title string
	write func() error
}

// writeRoles writes the answers of the roles that have one, below their titles where there are
// several.
func writeRoles(out io.Writer, all ...ofRole) error {
	all = slices.DeleteFunc(all, func(one ofRole) bool { return !one.there })
	for i, one := range all {
		if len(all) > 1 {
			space := ""
			if i > 0 {
				space = "\n"
			}
			if _, err := fmt.Fprintf(out, "%s%s:\n", space, one.title); err != nil {
				return err
			}
		}
		if err := one.write(); err != nil {
			return err
		}
	}
	return nil
}

func writeLinks6(out io.Writer, links []api.Link) error {
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

func writeLink(out io.Writer, l link) error {
	return writeRoles(
		out,
		ofRole{l.Relay6 != nil, "DHCPv6", func() error { return writeLink6(out, l.Relay6) }},
		ofRole{l.Relay4 != nil, "DHCPv4", func() error { return writeLink4(out, l.Relay4) }},
		ofRole{l.Server6 != nil, "DHCPv6 server", func() error { return writeServedLink6(out, l.Server6) }},
	)
}

func writeLink6(out io.Writer, l *api.Link) error {
	c := &l.Counters
	g := newGrid()
	g.row("link", fmt.Sprintf("%s (index %d)", l.Name, l.Index))
	g.row("state", stateWord(l))
	g.row("clients", facing(l))
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
	g.row("spoofed", spoofedBy(c.Spoofed, l.LastSpoofed))
	if c.AssignmentsRefused > 0 {
		g.row("assignments", fmt.Sprintf("not believed in %s, as the server is not to tell them", count(c.AssignmentsRefused, "message", "messages")))
	}
	if c.SensitiveOmitted > 0 {
		g.row("sensitive", fmt.Sprintf("options left out of %s to unprotected peers", count(c.SensitiveOmitted, "message", "messages")))
	}
	return g.write(out)
}

// spoofedBy tells how many packets of a link were dropped for their source, and the source of the
// last one.
func spoofedBy(packets uint64, last *api.SpoofedSource) string {
	text := count(packets, "packet", "packets")
	if last != nil {
		text += ", the last from " + sourceText(last)
	}
	return text
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

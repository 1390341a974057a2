package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

func whyCommand() *cobra.Command {
	var a ask
	var s selection
	var q api.WhyQuestion
	var linkAddress string
	cmd := &cobra.Command{
		Use:   "why CLIENT",
		Short: "Explain which leases the DHCPv6 server gives a client, and why not others",
		Long: `Show for each lease of a client (its DUID) by which reservation or out of which pool the
DHCPv6 server gives it, and what is in the way of each other pool of the network. The
server decides once more, as if the client renewed what it has, and changes nothing. Of
a client without leases --link or --link-address tells where it is: it is as if it asked
for an address and a prefix there. With --prefix the server says why the client does not
get this address or prefix. ::/56 stands for any prefix of 56 bits.

What a message says of client classes and relay agents is not kept. The client is taken
to be of the classes that its leases are for, and of --class.`,
		Example: `  fairlead why 00:03:00:01:02:00:5e:10:00:01
  fairlead why 00:03:00:01:02:00:5e:10:00:01 --link-address 2001:db8:1::1 --prefix ::/48`,
		Args: exactly(1, "the DUID of a client"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s.client = args[0]
			f, err := s.filter()
			if err != nil {
				return err
			}
			q.Client, q.Link, q.Prefix = f.Client, f.Link, f.Prefix
			if linkAddress != "" {
				if q.LinkAddress, err = netip.ParseAddr(linkAddress); err != nil {
					return usagef("--link-address: %q is no address", linkAddress)
				}
			}
			if q.Link != "" && q.LinkAddress.IsValid() {
				return usagef("--link and --link-address: one of them")
			}
			get := func(ctx context.Context, c *api.Client) ([]api.WhyLink, error) { return c.Why(ctx, q) }
			return look(cmd, &a, get, func(out io.Writer, all []api.WhyLink) error { return writeWhy(out, &q, all) })
		},
	}
	s.linkFlag(cmd, &a)
	cmd.Flags().StringVar(&linkAddress, "link-address", "", "the client is behind the relay agent with this link-address")
	cmd.Flags().StringVar(&q.Class, "class", "", "the client is of this class")
	cmd.Flags().StringVar(&s.prefix, "prefix", "", "the client asks for this address, prefix or length")
	a.flags(cmd)
	return cmd
}

func writeWhy(out io.Writer, q *api.WhyQuestion, all []api.WhyLink) error {
	for i := range all {
		if i > 0 {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		if err := writeWhyLink(out, q, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

func writeWhyLink(out io.Writer, q *api.WhyQuestion, w *api.WhyLink) error {
	head := newGrid()
	head.row("link", w.Link)
	if w.Network == "" {
		head.row("network", "none: no subnet is for this link")
		return head.write(out)
	}
	head.row("network", w.Network)
	head.row("subnet", w.Subnet)
	if !w.Leased {
		head.row("leases", "none: this is what it would get")
	}
	if len(w.Classes) > 0 {
		head.row("classes", strings.Join(w.Classes, " "))
	}
	if w.Excludes {
		head.row("excludes", "it knows of Prefix Exclude")
	}
	if v := w.Reservation; v != nil {
		text := reservationText(v)
		if w.TakenToBeBehind {
			text += ", by its lease"
		}
		head.row("reserved", text)
	}
	if len(w.Registered) > 0 {
		head.row("registered", prefixesText(w.Registered))
	}
	if err := head.write(out); err != nil {
		return err
	}
	for i := range w.IAs {
		if err := writeWhyIA(out, &w.IAs[i]); err != nil {
			return err
		}
	}
	if w.Refused != "" {
		return writeLines(out, "", []string{fmt.Sprintf("not %s: %s", leaseText(q.Prefix), obstacleText(w.Refused))})
	}
	return nil
}

func writeWhyIA(out io.Writer, x *api.WhyIA) error {
	name := map[string]string{"address": "IA_NA", "prefix": "IA_PD"}[x.Kind]
	var lines []string
	for i := range x.Leases {
		l := &x.Leases[i]
		text := "  " + leaseText(l.Prefix) + ": " + byText(l.By)
		if l.By == "" {
			text = "  not " + leaseText(l.Prefix) + ": " + obstacleText(l.Refused)
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 {
		text := "  nothing"
		if x.Limit != "" {
			text += ": a limit is met (" + x.Limit + ")"
		}
		lines = append(lines, text)
	}
	if _, err := fmt.Fprintf(out, "\n%s %s\n%s\n", name, x.IAID, strings.Join(lines, "\n")); err != nil {
		return err
	}
	if len(x.Pools) == 0 {
		_, err := fmt.Fprintln(out, "  the network has no pool for it")
		return err
	}
	g := newGrid(" ", "pool", "subnet", "class", "taken", "size", "for the client")
	g.right(5, 6)
	for i := range x.Pools {
		p := &x.Pools[i]
		text := "has room"
		switch {
		case p.Gives:
			text = "gives its lease"
		case p.Refused != "":
			text = obstacleText(p.Refused)
		}
		g.row("", p.Name(), p.Subnet, dash(p.Class), p.Taken, p.Size, text)
	}
	return g.write(out)
}

// byText says why a client gets a lease.
func byText(word string) string {
	if text, known := map[string]string{
		"reserved": "it is reserved for the client", "held": "the client has it, and may keep it", "named": "the client names it, and it is free",
		"waited": "it was the client's, and has waited for it", "other-length": "the client asks for this length",
		"found":              "its search in the pool finds this one first",
		"waited-for-another": "nothing is free, and this one has waited longest for another client",
	}[word]; known {
		return text
	}
	return word
}

// obstacleText says why a client does not get a lease, or nothing out of a pool.
func obstacleText(word string) string {
	if text, known := map[string]string{
		"no-pool": "no pool of the network has it", "other-class": "it is for clients of another class", "exclude-unknown": "it is for clients that know of Prefix Exclude",
		"reserved-for-another": "it is reserved for another client", "held-by-another": "another client or another IA has it", "waits-for-another": "it waits for the client that had it",
		"declined": "a client has declined it: another host uses it", "unusable": "it is an address of this host or a relay agent, overlaps with the prefix of an interface, or no host may have it",
		"overlaps": "it overlaps with another lease", "untold": "the client that had it is not told yet that it has ended", "limit": "a limit is met",
		"another-is-reserved": "another one is reserved for the client", "another-length": "the client asks for another length", "length": "the pool does not give this length", "full": "full",
	}[word]; known {
		return text
	}
	return word
}

// reservationText is for whom something is reserved.
func reservationText(v *api.Reservation) string {
	var all []string
	add := func(name, value string) {
		if value != "" {
			all = append(all, name+" "+value)
		}
	}
	add("duid", v.DUID.String())
	add("link-layer-address", v.LinkLayer)
	if v.RemoteID != nil {
		add("remote-id", fmt.Sprintf("%d %s", v.RemoteID.Enterprise, v.RemoteID.ID))
	}
	add("relay-id", v.RelayID.String())
	add("interface-id", v.InterfaceID.String())
	return strings.Join(all, ", ")
}

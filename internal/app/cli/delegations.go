package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

func delegationsCommand() *cobra.Command {
	return bindingsCommand("delegations", "Show who has which prefix now", "", (*api.Client).Delegations, writeDelegations)
}

func leasesCommand() *cobra.Command {
	return bindingsCommand("leases", "Show who has which lease now", `Show the leases that the DHCPv6 server has given, and those of DHCPv4 that the relay
has seen. A client of DHCPv4 may renew its lease with the server directly. The relay
sees this only on links with server-id-override. On other links a lease may still be
valid when it is not shown any more.`, (*api.Client).Leases, writeLeases)
}

// bindingsCommand is a command that lists what clients hold, as far as its flags select it.
func bindingsCommand(use, short, long string, get func(*api.Client, context.Context, api.Filter) ([]api.Delegation, error), write func(io.Writer, []api.Delegation) error) *cobra.Command {
	var a ask
	var s selection
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := s.filter()
			if err != nil {
				return err
			}
			return look(cmd, &a, func(ctx context.Context, c *api.Client) ([]api.Delegation, error) { return get(c, ctx, f) }, write)
		},
	}
	s.flags(cmd, &a, true)
	a.flags(cmd)
	return cmd
}

func writeLeases(out io.Writer, all []api.Delegation) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no lease")
		return err
	}
	g := newGrid("lease", "client", "link layer", "link", "valid", "source")
	g.right(5)
	vrf := inVRFs(all)
	for i := range all {
		d := &all[i]
		g.row(leaseText(d.Prefix), d.Client, orDash(d.LinkLayer), linkText(d, vrf), d.Valid, learnedText(d))
	}
	if err := g.write(out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", count(len(all), "lease", "leases"))
	return err
}

// leaseText is an address without its length, or a prefix.
func leaseText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// inVRFs reports whether some bindings are on links in a VRF.
func inVRFs(all []api.Delegation) bool {
	return slices.ContainsFunc(all, func(d api.Delegation) bool { return d.VRF != "" })
}

// linkText names the link of a binding, with its VRF where vrf is set.
func linkText(d *api.Delegation, vrf bool) string {
	if vrf {
		return d.Link + " (" + orDash(d.VRF) + ")"
	}
	return d.Link
}

// learnedText tells from where a binding is known.
func learnedText(d *api.Delegation) string {
	if d.Server == "" {
		return d.Source
	}
	return fmt.Sprintf("%s of %s", d.Source, orDash(d.Server))
}

func writeDelegations(out io.Writer, all []api.Delegation) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no delegation")
		return err
	}
	vrf := inVRFs(all)
	columns := []any{"prefix", "client", "iaid", "link", "next hop", "preferred", "valid", "source"}
	unproved := 0
	for i := range all {
		if all[i].Unproved {
			unproved++
		}
	}
	if unproved > 0 {
		columns = append(columns, "state")
	}
	g := newGrid(columns...)
	g.right(3, 6, 7)
	for i := range all {
		d := &all[i]
		client, source := any(d.Client), learnedText(d)
		if d.Source == api.SourceKernel {
			client, source = "-", "kernel alone"
		}
		cells := []any{d.Prefix, client, d.IAID, linkText(d, vrf), d.NextHop, d.Preferred, d.Valid, source}
		if unproved > 0 {
			cells = append(cells, proofText(d.Unproved))
		}
		g.row(cells...)
	}
	if err := g.write(out); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "\n%s\n", count(len(all), "delegation", "delegations")); err != nil || unproved == 0 {
		return err
	}
	_, err := fmt.Fprintf(out, "%d unproved: the point-to-point link may be another client's by now; no route until the server renews\n", unproved)
	return err
}

func proofText(unproved bool) string {
	if unproved {
		return "unproved"
	}
	return "-"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func historyCommand() *cobra.Command {
	var a ask
	var s selection
	var from, to string
	var limit int
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show who had which prefix or address, and when",
		Long: `Show who had which prefix or address, and when, the latest first. In the configuration,
history.keep says for how long this is kept. A time is a date, a date and a time in quotes
("2026-05-01 12:00"), a time of RFC 3339, or a time before now: 90s, 12h, 30d.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := api.HistoryFilter{Limit: limit}
			var err error
			if f.Filter, err = s.filter(); err != nil {
				return err
			}
			now := time.Now()
			if f.From, err = parseTime(from, now); err != nil {
				return usagef("--from: %w", err)
			}
			if f.To, err = parseTime(to, now); err != nil {
				return usagef("--to: %w", err)
			}
			if limit < 1 || limit > api.MaxHistory {
				return usagef("--limit: %d is not from 1 to %d", limit, api.MaxHistory)
			}
			get := func(ctx context.Context, c *api.Client) ([]api.HistoryEntry, error) { return c.History(ctx, f) }
			return look(cmd, &a, get, writeHistory)
		},
	}
	s.flags(cmd, &a, true)
	cmd.Flags().StringVar(&from, "from", "", "what was delegated at or after this time")
	cmd.Flags().StringVar(&to, "to", "", "what was delegated before this time")
	cmd.Flags().IntVar(&limit, "limit", 100, "the largest number of entries to show")
	a.flags(cmd)
	return cmd
}

// parseTime reads a time in one of the forms that the help names. An empty text is the zero time.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time (2026-05-01, \"2026-05-01 12:00\", RFC 3339, or ago: 12h, 30d)", text)
}

func writeHistory(out io.Writer, all []api.HistoryEntry) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "nothing in the history")
		return err
	}
	g := newGrid("from", "until", "prefix", "client", "iaid", "link", "next hop", "ended")
	g.right(5)
	for i := range all {
		e := &all[i]
		until := "now"
		if !e.Ended.IsZero() {
			until = clockTime(e.Ended)
		}
		g.row(clockTime(e.Granted), until, e.Prefix, e.Client, e.IAID, e.Link, e.NextHop, dash(e.Reason))
	}
	return g.write(out)
}

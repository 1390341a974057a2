package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

func statusCommand() *cobra.Command {
	return statusOf(ask{}, "Show the relay at a glance, and what does not work as it should",
		`Show the relay at a glance, and what does not work as it should. With --check the
exit code is 0 if all is well, 3 if something is not as it should be, and 1 if the
relay does not answer. For ten minutes this includes what clients do wrong: packets with
a source that is not theirs, and requests above a limit.`, (*api.Client).Status, (*api.Status).Wrong, writeStatus)
}

// statusOf is a command that shows the status of a process.
func statusOf[S any](a ask, short, long string, status func(*api.Client, context.Context) (S, error), wrong func(*S) int, write func(io.Writer, S) error) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "status", Short: short, Long: long, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			well := true
			get := func(ctx context.Context, c *api.Client) (S, error) {
				s, err := status(c, ctx)
				well = wrong(&s) == 0
				return s, err
			}
			if err := look(cmd, &a, get, write); err != nil || well || !check {
				return err
			}
			return errTrouble
		},
	}
	a.flags(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "end with code 3 if something is not as it should be")
	return cmd
}

func writeStatus(out io.Writer, s api.Status) error {
	t := &s.Totals
	g := newGrid()
	runningRows(g, s.Version, s.Uptime, s.Started)
	g.row("roles", strings.Join(s.Roles, ", "))
	plays6, plays4 := slices.Contains(s.Roles, "relay6"), slices.Contains(s.Roles, "relay4")
	if plays6 || plays4 {
		g.row("relay-id", dash(cmp.Or(s.RelayID, s.RelayIDv4)))
	}
	if s.RelayID != "" && s.RelayIDv4 != "" && s.RelayID != s.RelayIDv4 {
		g.row("relay-id.v4", s.RelayIDv4)
	}
	configRows(g, &s.Config)
	g.row("clock", clockText(&s.Clock))
	g.row("store", storeText(&s.Store))
	if plays6 || s.Server6 != nil {
		g.row("kernel", hostText(&s.Host))
	}
	for i := range s.Peers {
		g.row("peer "+s.Peers[i].Name, peerText(&s.Peers[i]))
	}
	if plays6 {
		g.row("links", t.Links)
		g.row("delegations", count(t.Prefixes, "prefix", "prefixes")+", "+count(t.Addresses, "address", "addresses"))
		if len(s.Unmatched) > 0 {
			g.row("without a rule", api.HoldingsText(s.Unmatched))
		}
		g.row("in flight", fmt.Sprintf("%s, %s held for a probe", count(t.Pending, "change", "changes"), count(t.WaitForProbe, "reply", "replies")))
		g.row("grants refused", refusalsText(s.Refusals))
	}
	if r := s.Relay4; r != nil {
		g.row("DHCPv4", fmt.Sprintf("%s with clients, %s on view, %s received, %d delivered, %d dropped", count(r.Links, "link", "links"), count(r.Leases, "lease", "leases"), count(r.Received, "message", "messages"), r.Delivered, r.Dropped))
	}
	if r := s.Server6; r != nil {
		g.row("DHCPv6 server", fmt.Sprintf("%s with clients, %s and %s leased, %s received, %d sent, %d dropped", count(r.Links, "link", "links"), count(r.Prefixes, "prefix", "prefixes"), count(r.Addresses, "address", "addresses"), count(r.Received, "message", "messages"), r.Sent, r.Dropped))
	}
	if err := g.write(out); err != nil {
		return err
	}
	return writeVerdict(out, slices.Concat(s.Degraded, foreignText(s.ForeignRoutes), limitsText(s.Limits), refusedText(s.RefusedGrants), spoofedText(s.Spoofed)))
}

func runningRows(g grid, version string, uptime api.Lifetime, started time.Time) {
	g.row("version", version)
	g.row("running", fmt.Sprintf("%s, since %s", uptime, clockTime(started)))
}

func configRows(g grid, c *api.ConfigStatus) {
	g.row("configuration", fmt.Sprintf("%s, read %s", c.Path, clockTime(c.Loaded)))
	if c.LastError != "" {
		g.row("last reload", "refused: "+c.LastError)
	}
}

// writeVerdict writes the end of a status: what does not work as it should.
func writeVerdict(out io.Writer, degraded []string) error {
	if len(degraded) > 0 {
		return writeLines(out, "Not as it should be:", degraded)
	}
	_, err := fmt.Fprintln(out, "\nAll is well.")
	return err
}

// maxLines bounds the number of lines about things of one kind.
const maxLines = 16

// some returns the first lines, with a last one that counts the rest.
func some(lines []string) []string {
	if n := len(lines) - maxLines; n > 0 {
		return append(lines[:maxLines:maxLines], fmt.Sprintf("and %d more such; --json has all", n))
	}
	return lines
}

// foreignText writes each route as ip does.
func foreignText(all []api.ForeignRoute) (lines []string) {
	for i := range all {
		r := &all[i]
		route := r.Destination.String()
		if r.Kind != "unicast" {
			route = r.Kind + " " + route
		}
		if r.Gateway.IsValid() {
			route += " via " + r.Gateway.String()
		}
		if r.Device != "" {
			route += " dev " + r.Device
		}
		route += fmt.Sprintf(" proto %s metric %d", r.Protocol, r.Metric)
		who := "client " + r.Client.String() + " is dark there"
		if r.Client == "" {
			who = "its client is not known, or its grant could not be installed"
		}
		lines = append(lines, fmt.Sprintf("link %s: the route %s of another program takes packets of %s away: %s", r.Link, route, r.Prefix, who))
	}
	return some(lines)
}

func refusedText(all []api.RefusedGrants) (lines []string) {
	for _, r := range all {
		text := fmt.Sprintf("link %s: %s refused (%s), the last of %s, %s", r.Link, count(r.Times, "grant", "grants"), r.Reason, r.Prefix, clockTime(r.Last))
		if r.Detail != "" {
			text += ": it " + r.Detail
		}
		lines = append(lines, text)
	}
	return some(lines)
}

func spoofedText(all []api.SpoofedOn) (lines []string) {
	for i := range all {
		s := &all[i]
		lines = append(lines, fmt.Sprintf("link %s: %s dropped as spoofed, the last from %s", s.Link, count(s.Packets, "packet", "packets"), sourceText(&s.Last)))
	}
	return some(lines)
}

func sourceText(s *api.SpoofedSource) string {
	text := s.Source.String()
	if s.LinkLayer != "" {
		text += " at " + s.LinkLayer
	}
	return text + ", " + clockTime(s.Seen)
}

// limitsText has a line for each limit that somebody has run into.
func limitsText(limits []api.LimitMet) (lines []string) {
	for _, l := range limits {
		who := "client " + l.Client.String()
		if l.LinkLayer != "" {
			who += " at " + l.LinkLayer
		}
		lines = append(lines, fmt.Sprintf("link %s: %s is met: %s was refused %s, the last %s", l.Link, l.Limit, who, count(l.Times, "time", "times"), clockTime(l.Last)))
	}
	return lines
}

// clockText answers RFC 8987 O-3.
func clockText(c *api.ClockStatus) string {
	if c.Error != "" {
		return "unknown: " + c.Error
	}
	word := "NOT synchronised"
	if c.Synchronised {
		word = "synchronised"
	}
	offset, worst := time.Duration(c.OffsetNanos), time.Duration(c.MaxErrorMicros)*time.Microsecond
	return fmt.Sprintf("%s (%s, offset %s, error at most %s)", word, c.State, offset, worst)
}

func storeText(s *api.StoreStatus) string {
	word := "healthy"
	switch {
	case s.Full:
		word = "FULL"
	case !s.Healthy:
		word = "NOT healthy"
	}
	text := fmt.Sprintf("%s, %s on disk, %s, %s failed", word, size(s.DiskBytes), count(s.Commits, "commit", "commits"), fmt.Sprint(s.Failures))
	if s.RecordsSetAside > 0 || len(s.DatabasesSetAside) > 0 {
		text += fmt.Sprintf(", set aside: %s, %s", count(s.RecordsSetAside, "record", "records"), count(len(s.DatabasesSetAside), "database", "databases"))
	}
	if s.LastError != "" {
		text += ", last error: " + s.LastError
	}
	return text
}

func hostText(h *api.HostStatus) string {
	text := fmt.Sprintf("%s (%d unreachable for now), %s", count(h.Routes, "route", "routes"), h.StandIns, count(h.Elements, "filter element", "filter elements"))
	if h.Refused > 0 {
		text += fmt.Sprintf(", %s refused", count(h.Refused, "route", "routes"))
	}
	if h.Unproved > 0 {
		text += fmt.Sprintf(", %s unproved", count(h.Unproved, "delegation", "delegations"))
	}
	if h.Orphans > 0 {
		text += fmt.Sprintf(", %s unexplained until %s", count(h.Orphans, "prefix", "prefixes"), clockTime(h.OrphansEnd))
	}
	if h.LastComparison.IsZero() {
		return text + ", not compared yet"
	}
	return text + fmt.Sprintf(", compared %s with %s", clockTime(h.LastComparison), count(h.LastFindings, "difference", "differences"))
}

func peerText(p *api.PeerSummary) string {
	words := []string{p.Role, "protection " + protectionText(p.Protection, p.Protected, p.Hops)}
	if p.Role == "server" && !p.Answered {
		words = append(words, "has not answered yet")
	}
	if !p.SilentSince.IsZero() {
		words = append(words, "SILENT since "+clockTime(p.SilentSince))
	}
	return strings.Join(words, ", ")
}

func refusalsText(byReason map[string]uint64) string {
	if len(byReason) == 0 {
		return "none"
	}
	return countsText(byReason)
}

// countsText writes "3 limit-link, 1 overlap", in the order of the names.
func countsText(counts map[string]uint64) string {
	words := make([]string, 0, len(counts))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(words, ", ")
}

// size writes a number of octets with a unit.
func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

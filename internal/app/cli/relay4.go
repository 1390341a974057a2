package cli

import (
	"fmt"
	"io"

	"fairlead/internal/app/api"
)

// Relay4 are the commands of the DHCPv4 relay.
func Relay4() []Command {
	return []Command{
		Look("relay4", "Show the DHCPv4 relay: its identity, its links, and what it dropped", "relay4", writeRelay4),
		{Looks, leasesCommand()},
	}
}

func writeRelay4(out io.Writer, r api.Relay4) error {
	head := newGrid()
	head.row("relay-id", dash(r.RelayID))
	if err := head.write(out); err != nil {
		return err
	}
	if _, err := io.WriteString(out, "\n"); err != nil {
		return err
	}
	if err := writeLinks4(out, r.Links); err != nil {
		return err
	}
	return writeLines(out, "", dropLines(r.Drops))
}

func writeLinks4(out io.Writer, links []api.Relay4Link) error {
	g := newGrid("link", "state", "giaddr", "vrf", "circuit-id", "leases", "received", "delivered", "dropped")
	g.right(6, 7, 8, 9)
	for i := range links {
		l := &links[i]
		g.row(l.Name, upWord(l.Up), giaddrText(l), dash(l.VRF), dash(l.CircuitID), l.Leases, sum(l.Received), sum(l.Delivered), sum(l.Drops))
	}
	return g.write(out)
}

func writeLink4(out io.Writer, l *api.Relay4Link) error {
	g := newGrid()
	g.row("link", l.Name)
	g.row("state", upWord(l.Up))
	g.row("trusted", yes(l.Trusted))
	g.row("vrf", dash(l.VRF))
	g.row("giaddr", giaddrText(l))
	g.row("circuit-id", dash(l.CircuitID))
	g.row("leases", l.Leases)
	g.row("filter", l.Filter)
	if l.Spoofed > 0 || l.LastSpoofed != nil {
		g.row("spoofed", spoofedBy(l.Spoofed, l.LastSpoofed))
	}
	g.row("received", dash(countsText(l.Received)))
	g.row("delivered", dash(countsText(l.Delivered)))
	g.row("dropped", dash(countsText(l.Drops)))
	for _, few := range []struct {
		n    uint64
		name string
		what string
	}{
		{l.AgentInformationOmitted, "option 82", "did not fit into %s"},
		{l.SensitiveOmitted, "sensitive", "sub-options left out of %s to unprotected peers"},
		{l.NotEchoed, "not echoed", "option 82 is missing in %s of servers"},
		{l.VSSIgnored, "other VPN", "the server has not heeded the VPN in %s"},
	} {
		if few.n > 0 {
			g.row(few.name, fmt.Sprintf(few.what, count(few.n, "message", "messages")))
		}
	}
	return g.write(out)
}

func upWord(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func giaddrText(l *api.Relay4Link) string {
	if !l.GIAddr.IsValid() {
		return "-"
	}
	return l.GIAddr.String()
}

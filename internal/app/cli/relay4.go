package cli

import (
	"io"
	"maps"
	"slices"
	"strconv"

	"fairlead/internal/app/api"
)

// Relay4 are the commands of the DHCPv4 relay.
func Relay4() []Command {
	return []Command{Look("relay4", "Show the DHCPv4 relay: its identity, its links, and what it dropped", "relay4", writeRelay4)}
}

func writeRelay4(out io.Writer, r api.Relay4) error {
	head := newGrid()
	head.row("relay-id", dash(r.RelayID))
	if err := head.write(out); err != nil {
		return err
	}
	g := newGrid("link", "state", "giaddr", "circuit-id", "received", "delivered", "dropped")
	g.right(5, 6, 7)
	for i := range r.Links {
		l := &r.Links[i]
		state := "down"
		if l.Up {
			state = "up"
		}
		giaddr := ""
		if l.GIAddr.IsValid() {
			giaddr = l.GIAddr.String()
		}
		g.row(l.Name, state, dash(giaddr), dash(l.CircuitID), sum(l.Received), sum(l.Delivered), sum(l.Drops))
	}
	if _, err := io.WriteString(out, "\n"); err != nil {
		return err
	}
	if err := g.write(out); err != nil {
		return err
	}
	var drops []string
	for _, reason := range slices.Sorted(maps.Keys(r.Drops)) {
		if n := r.Drops[reason]; n > 0 {
			drops = append(drops, "dropped "+reason+": "+strconv.FormatUint(n, 10))
		}
	}
	return writeLines(out, "", drops)
}

package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
	"fairlead/internal/core/trust"
)

// protectionText tells what a peer requires, and whether it is there: "none", "ipsec ok (ike psk,
// AES_GCM_16-256, 12m, 3 rekeys)", "ipsec MISSING: why".
func protectionText(required string, protected bool, hops []api.Hop) string {
	i := slices.IndexFunc(hops, func(h api.Hop) bool { return !h.Protected })
	switch {
	case len(hops) == 0 && required == trust.ProtectionNone.String():
		return required
	case protected && len(hops) == 1:
		return fmt.Sprintf("%s ok (%s)", required, hopText(&hops[0]))
	case protected:
		return fmt.Sprintf("%s ok (%d hops)", required, len(hops))
	case i < 0:
		return required + " MISSING"
	case len(hops) == 1:
		return required + " MISSING: " + inShort(hops[0].Problem)
	}
	missing := 0
	for i := range hops {
		if !hops[i].Protected {
			missing++
		}
	}
	return fmt.Sprintf("%s MISSING on %d of %d hops: %s: %s", required, missing, len(hops), hops[i].Name, inShort(hops[i].Problem))
}

// inShort is a problem without its cause, which would make a table too wide. "fairlead ipsec
// status" shows all of it.
func inShort(problem string) string {
	short, _, _ := strings.Cut(orUnseen(problem), ": ")
	return short
}

func orUnseen(problem string) string {
	if problem == "" {
		return "not looked at yet"
	}
	return problem
}

// hopText tells how a hop is protected.
func hopText(h *api.Hop) string {
	text := h.Mode
	if h.Algorithms != "" {
		text += ", " + h.Algorithms
	}
	if h.Mode == modeManual {
		return text + ", key " + h.Age.String() + " old"
	}
	return text + ", " + h.Age.String() + ", " + count(h.Rekeys, "rekey", "rekeys")
}

// modeManual is the mode of an api.Hop whose keys do not change by themselves.
const modeManual = "manual"

func ipsecStatusCommand() *cobra.Command {
	var a ask
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how each peer of the running relay is protected, hop by hop",
		Long: `Show how each peer of the running relay is protected, hop by hop: keying,
algorithms, age and traffic of the ESP SAs, and how much was dropped because it came in
clear or would have left in clear. "fairlead guard status" shows the same for a guard.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return look(cmd, &a, protectedPeers, writeProtection)
		},
	}
	a.flags(cmd)
	return cmd
}

// protectedPeers are the peers that require protection.
func protectedPeers(ctx context.Context, c *api.Client) ([]api.PeerSummary, error) {
	all, err := c.Peers(ctx)
	found := []api.PeerSummary{}
	for i := range all {
		if p := &all[i]; p.Protection != trust.ProtectionNone.String() {
			found = append(found, p.Summary())
		}
	}
	return found, err
}

func writeProtection(out io.Writer, peers []api.PeerSummary) error {
	if len(peers) == 0 {
		_, err := fmt.Fprintln(out, "no peer requires protection")
		return err
	}
	var hops []api.Hop
	for i := range peers {
		if len(peers[i].Hops) == 0 {
			hops = append(hops, api.Hop{Name: peers[i].Name})
		}
		hops = append(hops, peers[i].Hops...)
	}
	return writeHops(out, hops)
}

// writeHops writes a table of hops, and below it what does not fit into the table.
func writeHops(out io.Writer, hops []api.Hop) error {
	g := newGrid("hop", "state", "keys", "local", "remote", "algorithms", "age", "rekeys", "sent", "received", "clear out", "clear in")
	g.right(8, 9, 10, 11, 12)
	for i := range hops {
		h := &hops[i]
		state, age := "ok", h.Age.String()
		if !h.Protected {
			state, age = "MISSING", "-"
		}
		g.row(h.Name, state, dash(h.Mode), addressText(h.Local), addressText(h.Remote), dash(h.Algorithms), age, h.Rekeys,
			trafficText(h.Out), trafficText(h.In), droppedText(h, h.DroppedOut), droppedText(h, h.DroppedIn))
	}
	if err := g.write(out); err != nil {
		return err
	}
	return writeLines(out, "", hopNotes(hops))
}

// droppedText tells how much was dropped of a hop, unless another hop counts it.
func droppedText(h *api.Hop, t api.Traffic) string {
	if h.DroppedAt != "" {
		return "-"
	}
	return strconv.FormatUint(t.Packets, 10)
}

func hopNotes(hops []api.Hop) []string {
	var notes []string
	for i := range hops {
		h := &hops[i]
		if !h.Protected {
			notes = append(notes, h.Name+": MISSING: "+orUnseen(h.Problem))
		}
		if h.LastError != "" {
			notes = append(notes, fmt.Sprintf("%s: last error, %s: %s", h.Name, clockTime(h.LastErrorAt), h.LastError))
		}
		if h.DroppedAt != "" {
			notes = append(notes, h.Name+": what comes or would leave in clear is counted at "+h.DroppedAt+", which is to the same address")
		}
		notes = append(notes, hopWarnings(h)...)
	}
	return notes
}

func hopWarnings(h *api.Hop) []string {
	warnings := make([]string, len(h.Warnings))
	for i, w := range h.Warnings {
		warnings[i] = h.Name + ": warning: " + w
	}
	return warnings
}

// writeLines writes lines below a title, which may be empty. It writes nothing where there are no
// lines.
func writeLines(out io.Writer, title string, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	indent := ""
	if title != "" {
		title, indent = title+"\n", "  "
	}
	text := "\n" + title
	for _, l := range lines {
		text += indent + line(l) + "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

func addressText(a fmt.Stringer) string {
	if v, ok := a.(interface{ IsValid() bool }); ok && !v.IsValid() {
		return "-"
	}
	return a.String()
}

func trafficText(t api.Traffic) string { return fmt.Sprintf("%d (%s)", t.Packets, size(t.Bytes)) }

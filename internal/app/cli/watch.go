package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

func watchCommand() *cobra.Command {
	return watchOf(ask{}, "Show what happens, as it happens",
		`Show delegations that are granted, moved, refused or ended, links that come and
go, pools that get full, protection that is lost or back, and what goes wrong, as it
happens. With
--json each event is one line.`)
}

// watchOf is a command that shows what happens in a process. A guard has no clients, and so no
// flags that select them.
func watchOf(a ask, short, long string) *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use: "watch", Short: short, Long: long, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := s.filter()
			if err != nil {
				return err
			}
			return follow(cmd, &a, func(ctx context.Context) (api.Stream, error) { return a.client().Watch(ctx, f) })
		},
	}
	if !a.guard {
		s.flags(cmd, &a, true)
	}
	a.flags(cmd)
	return cmd
}

func traceCommand() *cobra.Command {
	var a ask
	var s selection
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Show every step of the messages of one client or one link",
		Long: `Show what happens to the messages of one client or one link, with a line for each step:
that a message was received, what it carries (IAs, prefixes, lifetimes, status codes), to
which server it was forwarded, and what the server answered; what was granted, extended,
refused or ended, and why; what was kept, installed and sent, or dropped, and why. If the
DUID of a client is not known, name its link.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := s.filter()
			if err != nil {
				return err
			}
			if (f.Client == "") == (f.Link == "") {
				return usagef("trace needs --client or --link, and not both")
			}
			t := api.TraceFilter{Client: f.Client, Link: f.Link}
			return follow(cmd, &a, func(ctx context.Context) (api.Stream, error) { return a.client().Trace(ctx, t) })
		},
	}
	s.flags(cmd, &a, false)
	a.flags(cmd)
	return cmd
}

// follow prints a stream until the user ends it, which is not an error.
func follow(cmd *cobra.Command, a *ask, open func(context.Context) (api.Stream, error)) error {
	ctx := cmd.Context()
	stream, err := open(ctx)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	lines := json.NewEncoder(out)
	for e, err := range stream {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("the stream ended: %w", err)
		}
		if a.json {
			err = lines.Encode(e)
		} else {
			err = writeEvent(out, &e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeEvent writes one event in one line: when, where, what, about what, why.
func writeEvent(out io.Writer, e *api.Event) error {
	if e.Kind == api.EventLost {
		_, err := fmt.Fprintf(out, "%s  (%s lost here: this terminal was too slow)\n", clockTime(e.Time), count(e.Lost, "event was", "events were"))
		return err
	}
	words := []string{clockTime(e.Time) + " "}
	add := func(format string, value string) {
		if value != "" {
			words = append(words, fmt.Sprintf(format, value))
		}
	}
	add("%s:", e.Link)
	if e.Kind == api.EventProtection {
		add("%s:", hopName(e))
	}
	add("%s", e.Text)
	add("%s", e.Type)
	if e.XID != 0 {
		words = append(words, "xid "+e.XID.String())
	}
	if d := e.Delegation; d != nil {
		words = append(words, d.Prefix.String())
		add("client %s", e.Client.String())
		if d.IAID.Known {
			words = append(words, "iaid "+d.IAID.String())
		}
		words = append(words, "via "+d.NextHop.String())
		if p := e.Previous; p != nil && (p.NextHop != d.NextHop || p.Link != d.Link) {
			words = append(words, fmt.Sprintf("(was %s on %s)", p.NextHop, p.Link))
		}
		if d.Valid > 0 {
			words = append(words, "valid "+d.Valid.String())
		}
	} else if p := e.Pool; p != nil {
		words = append(words, fmt.Sprintf("%s of subnet %s: %d of %d taken", p.Name(), p.Subnet, p.Taken, p.Size))
	} else {
		if e.Carries != nil {
			words = append(words, carriedWords(e.Carries)...)
		}
		add("client %s", e.Client.String())
	}
	if e.Kind != api.EventProtection {
		add("peer %s", e.Peer)
	}
	if e.Kind == "trace" { // the source of the message
		add("from %s", e.Reason)
	} else {
		add("(%s)", e.Reason)
	}
	add("it %s", e.Detail)
	text := strings.Join(words, " ")
	if e.Error != "" {
		text += ": " + e.Error
	}
	_, err := fmt.Fprintln(out, line(text))
	return err
}

// carriedWords writes what a message carries.
func carriedWords(c *api.Carried) (words []string) {
	if c.IA != "" {
		words = append(words, fmt.Sprintf("%s %s", c.IA, c.IAID))
	}
	if c.Prefix.IsValid() {
		words = append(words, fmt.Sprintf("%s preferred %s valid %s", c.Prefix, c.Preferred, c.Valid))
	}
	if c.Status != "" {
		words = append(words, "status "+c.Status)
	}
	return words
}

// hopName is the peer that an event is about. It names the hop too where the peer's name does not
// tell which one it is.
func hopName(e *api.Event) string {
	if e.Hop == e.Peer {
		return "peer " + e.Peer
	}
	return "peer " + e.Peer + ", hop " + e.Hop
}

package privacy_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/privacy"
)

// What goes wrong is told to those who watch, whatever the log's level is, and with
// identifiers as watches have them; what goes well is not.
func TestWarningsAreTold(t *testing.T) {
	for _, c := range []struct {
		trace  config.Identifiers
		reason string
		text   string
	}{
		{config.IdentifiersFull, "no space, dest 2001:db8:100::a, times 3", "disk of 2001:db8:100::b full"},
		{config.IdentifiersNone, "no space, dest -, times 3", "disk of - full"},
	} {
		rules := privacy.New(privacy.NewKey(), config.Privacy{Trace: c.trace}, nil)
		feed := control.NewFeed()
		var out bytes.Buffer
		log := rules.Told(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})), feed)
		if log.Enabled(context.Background(), slog.LevelWarn) {
			t.Error("a warning is made though nobody hears of it")
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		events, err := feed.Subscribe(ctx, func(*api.Event) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		events = rules.Events(ctx, events)
		log.Info("all is well")
		log.With("link", "ppp7").Warn("disk of 2001:db8:100::b full", "reason", "no space", "dest", netip.MustParseAddr("2001:db8:100::a"), "times", 3, "error", errors.New("write: 2001:db8:100::c"))
		log.Error("it burns", "peer", "kea1")
		want := []api.Event{
			{Kind: api.EventTrouble, Text: c.text, Link: "ppp7", Reason: c.reason, Error: "write: 2001:db8:100::c"},
			{Kind: api.EventTrouble, Text: "it burns", Peer: "kea1"},
		}
		if c.trace == config.IdentifiersNone {
			want[0].Error = "write: -"
		}
		got := []api.Event{<-events, <-events}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(api.Event{}, "Time")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "it burns") {
			t.Errorf("the log has\n%s\nwant the error alone", got)
		}
	}
}

package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/process"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// What tells who somebody is.
const (
	somebody       = "\x00\x01\x00\x01\x2a\x3b\x4c\x5d\x02\x00\x5e\x77\x88\x99"
	somebodysHop   = "fe80::5eff:fe77:8899"
	somebodysRoute = "2001:db8:beef:7700::/56"
)

// traces are parts of these, in every spelling that one might write them in, in
// lower case.
var traces = []string{
	"2a:3b:4c:5d", "2a3b4c5d", "2a-3b-4c-5d", `\x2a`, `\u0001`, `*;l]`, "00:5e:77:88:99", "005e778899", "00-5e-77-88-99", "77:88:99", "77-88-99", "778899", "1584892057",
	"5eff:fe77", "fe77:8899", "5efffe77", "fe778899", "beef:77", "beef77",
}

func findNobody(t *testing.T, what, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: nothing was written", what)
	}
	for _, s := range traces {
		if strings.Contains(strings.ToLower(text), s) {
			t.Errorf("%s: %q is in it:\n%s", what, s, text)
		}
	}
}

func everywhere(how config.Identifiers) config.Privacy {
	return config.Privacy{Log: how, History: how, Trace: how, Crash: how}
}

// masking is a log that masks, and what is written to it.
func masking(how config.Identifiers) (*slog.Logger, *privacy.Rules, *bytes.Buffer) {
	out := new(bytes.Buffer)
	r := privacy.New(privacy.NewKey(), everywhere(how), nil)
	return privacy.Logger(slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})), r), r, out
}

var hidings = []config.Identifiers{config.IdentifiersHashed, config.IdentifiersNone}

func hers() binding.Binding {
	mac, _ := linkaddr.Parse("02:00:5e:77:88:99")
	return binding.Binding{
		Link: "d1", Client: binding.DUID(somebody), IAID: 0x5e778899, Prefix: netip.MustParsePrefix(somebodysRoute), NextHop: netip.MustParseAddr(somebodysHop),
		LinkLayer: mac, Server: "server", Granted: time.Unix(1e9, 0), Changed: time.Unix(1e9, 0), Lifetime: time.Hour,
	}
}

// every is one note of each kind that there is, with all that it may have.
func every() (all []effect.Note) {
	route := hoststate.Route{Prefix: netip.MustParsePrefix(somebodysRoute), Gateway: netip.MustParseAddr(somebodysHop), Link: 3, Table: 254, Metric: 1024}
	for k := effect.NoteDelegation; k <= effect.NoteClock; k++ {
		n := effect.Note{Kind: k, Link: "d1", Peer: "server", Client: binding.DUID(somebody), IAID: 0x5e778899, Type: dhcp6.Request.String(), XID: 9, Text: "happened to " + k.String()}
		switch k {
		case effect.NoteDelegation:
			n.Event = binding.Event{Kind: binding.Moved, Old: hers(), New: hers()}
		case effect.NoteTrace:
			n.Reason = somebodysHop
		case effect.NoteForeign, effect.NoteStore:
			n.Err = fmt.Errorf("route %v: %w", route, errors.New("file exists"))
		}
		all = append(all, n)
	}
	return all
}

// RFC 8213 section 4: "Securing these systems and the data in databases and logs
// also needs to be considered". RFC 8213 4d.
func TestNobodyIsInTheLogOfNotes(t *testing.T) {
	for _, how := range hidings {
		for _, note := range every() {
			log, rules, out := masking(how)
			n := &notes.Notes{Log: log, Privacy: rules, Feed: control.NewFeed(), Once: notes.NewLimiter(time.Hour)}
			n.Take(&effect.Effects{Notes: []effect.Note{note}})
			findNobody(t, fmt.Sprint(how, " ", note.Kind), out.String())
			if !strings.Contains(out.String(), "happened to") || !strings.Contains(out.String(), "link=d1") {
				t.Errorf("%v: too little is left of it:\n%s", note.Kind, out)
			}
		}
		log, rules, out := masking(how)
		n := &notes.Notes{Log: log, Privacy: rules, Feed: control.NewFeed(), Once: notes.NewLimiter(time.Hour)}
		n.Take(&effect.Effects{Drops: []effect.Dropped{{Reason: effect.DropBadSource, Link: "d1", Source: netip.MustParseAddr(somebodysHop)}}})
		findNobody(t, fmt.Sprint(how, " drop"), out.String())
	}
}

func TestNobodyIsInTheLogOfFailures(t *testing.T) {
	to := udp.Outgoing{Link: 3, Dest: netip.AddrPortFrom(netip.MustParseAddr(somebodysHop), 546)}
	for _, how := range hidings {
		for _, err := range []error{
			engine.ErrNotKept, fmt.Errorf("%w: route %s: file exists", engine.ErrNotInstalled, somebodysRoute), fmt.Errorf("sendmsg %v: no route", to.Dest),
		} {
			log, _, out := masking(how)
			network.NewFailures(log, notes.NewLimiter(time.Hour)).Report(to, err)
			findNobody(t, fmt.Sprint(how, " ", err), out.String())
			if !strings.Contains(out.String(), "datagram not sent") || !strings.Contains(out.String(), "link=3") {
				t.Errorf("too little is left of it:\n%s", out)
			}
		}
	}
}

// Who watches sees each kind of event, and nobody in it; who asked for one client
// gets his all the same.
func TestNobodyIsInWhatWatchesTell(t *testing.T) {
	for _, how := range hidings {
		log, rules, _ := masking(how)
		feed := control.NewFeed()
		n := &notes.Notes{Log: log, Privacy: rules, Feed: feed, Once: notes.NewLimiter(time.Hour)}
		ctx, cancel := context.WithCancel(t.Context())
		events, err := (&process.Process{Feed: feed, Privacy: rules}).Watch(ctx, api.Filter{Client: somebody})
		if err != nil {
			t.Fatal(err)
		}
		other := every()[0]
		other.Client, other.Event.New.Client = binding.DUID("another"), binding.DUID("another")
		n.Take(&effect.Effects{Notes: append(every(), other)})
		for k := effect.NoteDelegation; k <= effect.NoteClock; k++ {
			if k == effect.NoteTrace { // is for those who trace
				continue
			}
			e := <-events
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != k.String() {
				t.Errorf("%v: %s, want %v", how, text, k)
			}
			findNobody(t, fmt.Sprint(how, " ", k), string(text))
		}
		select {
		case e := <-events:
			t.Errorf("%v: another's event %+v", how, e)
		default:
		}
		cancel()
	}
}

// A packet that makes the core panic is not in the report of it, nor are the
// arguments of what was called.
func TestNobodyIsInTheReportOfAPanic(t *testing.T) {
	for _, how := range hidings {
		log, rules, out := masking(how)
		l := newPlayed(t, log, rules)
		l.run(t)
		p := solicit(linkA, 1)
		p.Source = netip.AddrPortFrom(netip.MustParseAddr(somebodysHop), 546)
		p.Payload = append(p.Payload, somebody...)
		err := l.Call(t.Context(), func(instant.Now, *effect.Effects) {
			panic(fmt.Sprintf("client %x of %v: %s", somebody, p.Source, p.Payload))
		})
		if err == nil {
			t.Fatal("a panic and no error: the test tests nothing")
		}
		if err := l.Call(t.Context(), func(instant.Now, *effect.Effects) {}); err != nil { // the report is written by then
			t.Fatal(err)
		}
		findNobody(t, how.String(), out.String())
		for _, want := range []string{"panic while deciding", ").try", "rebuild.go:"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: %q is not in\n%s", how, want, out)
			}
		}
	}
}

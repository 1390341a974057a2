package relay

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/api"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/role"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/netlink"
)

// A route of another program is in a client's way unless it is the prefix of another
// link that serves clients: such may lie within a delegation.
func TestForeignRouteInAClientsWay(t *testing.T) {
	l := quietPlayed(t)
	d := &player{relay: l.relay, Base: role.Base[*relay6.Relay]{Engine: l.Engine}}
	for index, name := range map[int]string{linkA: "dA", linkB: "dB", uplink: "u0"} {
		l.Net.Know(links.Link{Index: index, Name: name})
	}
	p := netip.MustParsePrefix("2001:db8:100::/56")
	part := netip.MustParsePrefix("2001:db8:100:7::/64")
	for name, c := range map[string]struct {
		f    netlink.Foreign
		want bool
	}{
		"on-link of a link with clients": {netlink.Foreign{Protocol: unix.RTPROT_KERNEL, Device: linkB}, false},
		"on-link of another link":        {netlink.Foreign{Protocol: unix.RTPROT_KERNEL, Device: uplink}, true},
		"by hand to a link with clients": {netlink.Foreign{Protocol: unix.RTPROT_STATIC, Device: linkB}, true},
		"to nowhere":                     {netlink.Foreign{Protocol: unix.RTPROT_BIRD, Form: unix.RTN_BLACKHOLE}, true},
	} {
		c.f.Route, c.f.Ours, c.f.Link = hoststate.Route{Prefix: part, Metric: 20, Table: 254}, p, linkA
		r, got := d.darkened(&c.f)
		if got != c.want {
			t.Errorf("%s: in the way: %v, want %v", name, got, c.want)
		}
		if got && (r.Link != "dA" || r.Prefix != p || r.Destination != part || r.Metric != 20) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// The log names what has come and what has gone, masked as the operator wants, and not
// more than a few at once.
func TestForeignRoutesInTheLog(t *testing.T) {
	route := func(i int) api.ForeignRoute {
		return api.ForeignRoute{Destination: netip.MustParsePrefix(fmt.Sprintf("2001:db8:100:%x::/64", i)), Protocol: "static", Link: "d1", Prefix: netip.MustParsePrefix("2001:db8:100::/56")}
	}
	var many []api.ForeignRoute
	for i := range 3 * maxTold {
		many = append(many, route(i))
	}
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	d := &player{relay: new(relay), Base: role.Base[*relay6.Relay]{House: &role.House{Told: log}}}
	d.relay.Notes = &notes.Notes{Once: notes.NewLimiter(time.Hour)}
	f := &foreignRoutes{d: d}
	f.tell(slog.LevelWarn, "came", many, many[:1])
	if got := strings.Count(out.String(), "destination="); got != maxTold || !strings.Contains(out.String(), "there are more") || strings.Contains(out.String(), many[0].Destination.String()) {
		t.Errorf("%d routes named, want %d and a word that there are more, and not the one that was known:\n%s", got, maxTold, out.String())
	}
	out.Reset()
	f.tell(slog.LevelWarn, "came", many[:3], many[:1])
	if out.Len() > 0 {
		t.Errorf("they were told a moment ago, and are told again:\n%s", out.String())
	}
	for _, how := range hidings {
		log, _, out := masking(how)
		d.House.Told, d.relay.Notes.Once = log, notes.NewLimiter(time.Hour)
		f.tell(slog.LevelWarn, "came", []api.ForeignRoute{{
			Destination: netip.MustParsePrefix(somebodysRoute), Gateway: netip.MustParseAddr(somebodysHop), Client: somebody, Prefix: netip.MustParsePrefix(somebodysRoute),
		}}, nil)
		if out.String() == "" {
			t.Fatalf("%v: nothing is logged", how)
		}
		findNobody(t, fmt.Sprint(how), out.String())
	}
}

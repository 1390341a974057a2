package daemon

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/wire/dhcp6"
)

func TestReloadRefusesWhatNeedsARestart(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		"state":          func(c *config.Config) { c.State = "/elsewhere" },
		"host.protocol":  func(c *config.Config) { c.Host.Protocol++ },
		"store":          func(c *config.Config) { c.Store.Reserve++ },
		"metrics.listen": func(c *config.Config) { c.Metrics.Listen = netip.MustParseAddrPort("[::1]:9100") },
		"log.format":     func(c *config.Config) { c.Log.Format = config.LogJSON },
		"log.every":      func(c *config.Config) { c.Log.Every += time.Second },
		"relay-id": func(c *config.Config) {
			c.RelayID = config.RelayID{Source: config.RelayIDConfigured, Value: dhcp6.DUID("\x00\x02ab")}
		},
		"control": func(c *config.Config) { c.Control.Socket = "/elsewhere" },
	} {
		var old, next config.Config
		change(&next)
		err := needsRestart(&old, &next)
		if err == nil || !strings.HasPrefix(err.Error(), name+":") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s changed: %v; want it refused, and nothing else", name, err)
		}
	}
	var old, next config.Config
	next.Log.Level, next.History.Keep, next.Host.Compare = config.LogWarn, time.Hour, time.Hour
	if err := needsRestart(&old, &next); err != nil {
		t.Errorf("level, history and comparison changed: %v; want it taken", err)
	}
	next.State, next.Log.Format = "/elsewhere", config.LogJSON
	if err := needsRestart(&old, &next); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("state and log.format changed: %v; want both named", err)
	}
}

// A section that comes or goes needs a restart: its role would have to begin or end.
func TestReloadRefusesARoleMoreOrLess(t *testing.T) {
	one := &config.Config{Sections: map[string]config.Section{"a": new(config.Guard)}}
	two := &config.Config{Sections: map[string]config.Section{"a": new(config.Guard), "b": new(config.Guard)}}
	for _, c := range []struct{ old, next *config.Config }{{one, two}, {two, one}} {
		if err := needsRestart(c.old, c.next); err == nil || err.Error() != "b: cannot change while running: restart instead" {
			t.Errorf("from %d roles to %d: %v", len(c.old.Sections), len(c.next.Sections), err)
		}
	}
	if err := needsRestart(two, &config.Config{Sections: maps.Clone(two.Sections)}); err != nil {
		t.Errorf("the same roles: %v", err)
	}
	if len(one.Sections) != 1 || len(two.Sections) != 2 {
		t.Error("the comparison changes what it compares")
	}
}

// relaying is a file whose links no host has.
const relaying = "peers: [{name: any, role: server, interfaces: [nosuch0], protection: none}]\nrelay6: {links: [{match: \"nosuch*\"}]}\n"

// What a reload would change is that of all roles, and what they hold on a link is counted
// together. A dry run changes nothing, and says why it would be refused; without force, what
// takes the rule from links with delegations is refused.
func TestReloadAsksAllRoles(t *testing.T) {
	loses := func(link string, prefixes, held int) func(*api.ReloadResult) (map[string]int, error) {
		return func(r *api.ReloadResult) (map[string]int, error) {
			r.Links = append(r.Links, api.LinkChange{LinkHoldings: api.LinkHoldings{Link: link, Prefixes: prefixes}, Change: api.LinkLost},
				api.LinkChange{LinkHoldings: api.LinkHoldings{Link: link + "-stays", Prefixes: 9}, Change: api.LinkChanged})
			return map[string]int{"gone7": held}, nil
		}
	}
	d := withMembers(map[string]*member{"a": {prospect: loses("d1", 0, 2)}, "b": {prospect: loses("d2", 4, 3)}})
	kinds := config.Kinds{config.Relay6Kind()}
	d.Load = func(string) (*config.Config, error) { return kinds.Parse("f.yaml", []byte(relaying)) }
	var err error
	if d.cfg, err = d.Load(""); err != nil {
		t.Fatal(err)
	}
	d.cfg.Peers[0].Name, d.cfg.Host.Compare = "other", time.Hour
	result, err := d.reload(t.Context(), api.ReloadRequest{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Links) != 4 || result.Links[0].Link != "d1" || result.Links[2].Link != "d2" {
		t.Errorf("the links that change: %+v, want those of a and of b", result.Links)
	}
	if want := []api.PeerChange{{Peer: "any", Change: "added"}, {Peer: "other", Change: "removed"}}; !slices.Equal(result.Peers, want) || !slices.Equal(result.Settings, []string{"host"}) {
		t.Errorf("peers %v and settings %q change, want %v and host", result.Peers, result.Settings, want)
	}
	if result.Reloaded || !strings.Contains(result.Refused, "d2") || strings.Contains(result.Refused, "d1") || strings.Contains(result.Refused, "stays") {
		t.Errorf("reloaded %v, refused %q; want the link alone that has delegations", result.Reloaded, result.Refused)
	}
	all := strings.Join(result.Warnings, "\n")
	if !strings.Contains(all, `"nosuch*" covers`) {
		t.Errorf("the warnings of the file itself are missing:\n%s", all)
	}
	if !strings.Contains(all, "gone7 (5)") {
		t.Errorf("the warnings do not count together what two roles hold on a link:\n%s", all)
	}
	var loss *api.LossError
	if _, err := d.reload(t.Context(), api.ReloadRequest{}); !errors.As(err, &loss) || len(loss.Links) != 1 || loss.Links[0].Link != "d2" {
		t.Errorf("a reload that takes the rule from a link with delegations: %v", err)
	}

	d.cfg.State = "/elsewhere"
	if _, err := d.reload(t.Context(), api.ReloadRequest{DryRun: true}); err == nil || !strings.HasPrefix(err.Error(), "state: ") {
		t.Errorf("what needs a restart: %v", err)
	}
	d.cfg.State = config.Default().State

	broken := errors.New("the program is ending")
	d.players["c"] = &member{prospect: func(*api.ReloadResult) (map[string]int, error) { return nil, broken }}
	if _, err := d.reload(t.Context(), api.ReloadRequest{Force: true}); !errors.Is(err, broken) {
		t.Errorf("a role does not answer: %v", err)
	}
	d.Load = func(string) (*config.Config, error) { return nil, broken }
	if _, err := d.reload(t.Context(), api.ReloadRequest{}); !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

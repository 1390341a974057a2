package daemon

import (
	"net/netip"
	"strings"
	"testing"
	"time"

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
	next.Log.Level, next.History.Keep, next.Host.Audit = config.LogWarn, time.Hour, time.Hour
	if err := needsRestart(&old, &next); err != nil {
		t.Errorf("level, history and audit changed: %v; want it taken", err)
	}
	next.State, next.Log.Format = "/elsewhere", config.LogJSON
	if err := needsRestart(&old, &next); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("state and log.format changed: %v; want both named", err)
	}
}

package service

import (
	"fairlead/internal/core/instant"
	"fairlead/internal/host/clock"
)

// Now is one reading of both clocks, as cores are handed it.
func Now() instant.Now {
	c := clock.Now()
	return instant.Now{Boot: instant.Instant(c.Boot), Wall: c.Wall, Synced: c.Synced}
}

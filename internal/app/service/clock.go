package service

import (
	"fairlead/internal/core/instant"
	"fairlead/internal/host/clock"
)

// Now is one reading of both clocks, in the form that cores take.
func Now() instant.Now {
	c := clock.Now()
	return instant.Now{Boot: instant.Instant(c.Boot), Wall: c.Wall, Synced: c.Synced}
}

package relay

import (
	"context"

	"fairlead/internal/app/config"
	"fairlead/internal/core/effect"
)

// Reconfigure makes a configuration the present one.
func (d *player) Reconfigure(ctx context.Context, next *config.Config) error {
	return d.Hold(ctx, next, func(eff *effect.Effects) { d.Engine.Core.Reconfigure(d.coreConfig(next), eff) })
}

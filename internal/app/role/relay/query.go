package relay

import (
	"context"

	"fairlead/internal/app/api"
	"fairlead/internal/app/bindings"
	"fairlead/internal/app/control"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// clients are the clients that an identifier may name, in the form that lists show: the client
// with that DUID, and the client of which only these addresses are known.
func clients(id api.Identifier) []binding.Client {
	return []binding.Client{binding.DUID(id), binding.Identified(binding.ByAddress, id)}
}

func (d *player) Delegations(ctx context.Context, f api.Filter) ([]api.Delegation, error) {
	return bindings.List(ctx, d.Book, f)
}

func (d *player) Blocks(ctx context.Context) ([]api.Block, error) {
	var blocks []delegation.Block
	err := d.Engine.Call(ctx, func(instant.Now, *effect.Effects) { blocks = d.Engine.Core.Blocks() })
	all := make([]api.Block, 0, len(blocks))
	for _, b := range blocks {
		all = append(all, control.BlockOf(b))
	}
	return all, err
}

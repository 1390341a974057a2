package service

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"
)

// Task is a part of a process. It runs until ctx ends.
type Task = func(ctx context.Context) error

// Start adds the parts of a process to a group, each within what within makes of
// it. An error has the part's name; what a part says at the end is no error.
func Start(ctx context.Context, group *errgroup.Group, within func(Task) Task, parts map[string]Task) {
	for name, run := range parts {
		run = within(run)
		group.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
}

// Hangup is who has a configuration taken anew by signal.
const Hangup = "SIGHUP"

// Hangups takes the configuration anew on each signal, until ctx ends.
func Hangups(ctx context.Context, signals <-chan os.Signal, log *slog.Logger, reload func(ctx context.Context, who string) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-signals:
			if err := reload(ctx, Hangup); err != nil {
				log.Error("configuration not reloaded: the old one stays", "error", err)
			}
		}
	}
}

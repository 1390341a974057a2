package labtest

import (
	"context"
	"sync"
	"testing"
)

// Run runs a task until end is called, or the test ends. Its error fails the test.
func Run(t *testing.T, task func(context.Context) error) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- task(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(end)
	return end
}

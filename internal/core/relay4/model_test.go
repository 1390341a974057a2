package relay4_test

import (
	"testing"

	"pgregory.net/rapid"

	"fairlead/internal/core/relay4"
)

// TestModel does to the relay whatever comes to mind, on links that share a giaddr or come to
// do so, with servers that echo option 82 or do not: each datagram is what its law says, no
// reply goes to a link that was guessed, and one that is clear arrives.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]relay4.Insertion{relay4.Off, relay4.Add}).Draw(t, "mode")
		tw := newTwin(newWorld(&rapidTB{t: t}, twinWorld(mode)))
		for i := range byte(4) {
			tw.step(5, i, rapid.Byte().Draw(t, "address"), 0)
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			tw.step(rapid.Byte().Draw(t, "kind"), rapid.Byte().Draw(t, "a"), rapid.Byte().Draw(t, "b"), rapid.Byte().Draw(t, "c"))
		}
	})
}

// rapidTB lets a world fail a rapid test.
type rapidTB struct {
	testing.TB // nil: nothing else is asked of it
	t          *rapid.T
}

func (tb *rapidTB) Helper()                           {}
func (tb *rapidTB) Errorf(format string, args ...any) { tb.t.Errorf(format, args...) }
func (tb *rapidTB) Error(args ...any)                 { tb.t.Error(args...) }
func (tb *rapidTB) Fatalf(format string, args ...any) { tb.t.Fatalf(format, args...) }

package daemon

import (
	"runtime"
	"runtime/debug"
	"testing"
)

var ballast []byte

// What was used once and is not any more shows as held beyond use, until it is
// given back.
func TestMemoryIsToldAndGivenBack(t *testing.T) {
	const size = 64 << 20
	ballast = make([]byte, size)
	for i := 0; i < size; i += 4096 {
		ballast[i] = 1
	}
	runtime.GC()
	if used, held := memory(); used < size || held < used {
		t.Errorf("with %d in use: %d used, %d held", size, used, held)
	}
	ballast = nil
	debug.FreeOSMemory()
	if used, held := memory(); used > size/2 || held > used+used/8+2*worthwhile {
		t.Errorf("after it was given back: %d used, %d held", used, held)
	}
}

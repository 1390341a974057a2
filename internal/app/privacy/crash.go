package privacy

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"

	"fairlead/internal/app/config"
)

// Panic is what a recovered panic leaves in the log: its cause and where it was.
// Unless all may be shown, the cause is in the runtime's own words, or else no
// more than its type and what tells it from others; and the stack has the places
// without the arguments, among which addresses stand octet for octet. It is to
// be called where the panic was recovered.
func (r *Rules) Panic(cause any) []slog.Attr {
	m := r.Crash()
	return []slog.Attr{
		slog.Any("panic", Verbatim(m.Cause(cause))),
		slog.Any("stack", Verbatim(m.stack())),
	}
}

// Cause is what a panic was caused by, in words.
func (m Mask) Cause(cause any) string {
	text := fmt.Sprint(cause)
	if _, own := cause.(runtime.Error); own || m.Shows() {
		return text
	}
	kind := fmt.Sprintf("%T", cause)
	switch m.how {
	case config.IdentifiersShort:
		return kind + ": " + m.Text(text)
	case config.IdentifiersHashed:
		sum := m.hash(kindText, []byte(text))
		return kind + " #" + hex.EncodeToString(sum[:])
	}
	return kind
}

func (m Mask) stack() string {
	if m.Shows() {
		return string(debug.Stack())
	}
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var b strings.Builder
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return b.String()
		}
	}
}

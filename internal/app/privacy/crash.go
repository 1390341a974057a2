package privacy

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

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
		slog.Any("panic", r.Cause(cause)),
		slog.Any("stack", Verbatim(m.stack())),
	}
}

// Cause is the first of these as a text.
func (r *Rules) Cause(cause any) Verbatim { return Verbatim(r.Crash().Cause(cause)) }

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

// Part runs a part of the process so that a panic in it is reported as Panic does,
// and then ends it as a failure would. The runtime's own report would have all
// arguments.
func (r *Rules) Part(log *slog.Logger, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		defer func() {
			if cause := recover(); cause != nil {
				log.LogAttrs(ctx, slog.LevelError, "panic: this part of the process has ended", r.Panic(cause)...)
				err = fmt.Errorf("panic: %s", r.Cause(cause))
			}
		}()
		return run(ctx)
	}
}

// Quiet has SIGQUIT and SIGABRT, by which operators and service managers ask for
// the stacks of all goroutines, be answered without arguments, unless all may be
// shown. It holds until the process ends. What the runtime writes of a panic that
// nobody recovers, only the environment can hold back: GOTRACEBACK=none, which
// does not count where all may be shown.
func (r *Rules) Quiet() {
	if r.Crash().Shows() {
		debug.SetTraceback("all")
		return
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGQUIT, syscall.SIGABRT)
	go func() {
		s := <-asked
		fmt.Fprintf(os.Stderr, "%v\n\n%s", s, bare(stacks()))
		os.Exit(2) // as the runtime does
	}()
}

// maxStacks bounds what is written of all goroutines.
const maxStacks = 4 << 20

func stacks() string {
	b := make([]byte, maxStacks)
	return string(b[:runtime.Stack(b, true)])
}

// bare takes the arguments out of stacks.
func bare(stacks string) string {
	var b strings.Builder
	for line := range strings.Lines(stacks) {
		if end := strings.LastIndexByte(line, '('); end > 0 && !strings.HasPrefix(line, "goroutine ") && strings.HasSuffix(line, ")\n") {
			line = line[:end] + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
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

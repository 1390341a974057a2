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

// Panic describes a recovered panic for the log: its cause, and where it was. Unless everything
// may be shown, the cause is in the runtime's own words, or else only its type and a hash; and
// the stack has the places without arguments, because an address can be among them. It must be
// called where the panic was recovered.
func (r *Rules) Panic(cause any) []slog.Attr {
	m := r.Crash()
	return []slog.Attr{
		slog.Any("panic", r.Cause(cause)),
		slog.Any("stack", Verbatim(m.stack())),
	}
}

// Cause is the cause of a panic as a text.
func (r *Rules) Cause(cause any) Verbatim { return Verbatim(r.Crash().Cause(cause)) }

// Cause describes the cause of a panic in words.
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

// Part runs a part of the process. A panic in it is reported as by Panic, and then ends the part
// as a failure does. The report of the runtime would have all arguments.
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

// Quiet handles SIGQUIT and SIGABRT, with which operators and service managers ask for the stacks
// of all goroutines: it writes them without arguments, unless everything may be shown. It holds
// until the process ends. If nobody recovers a panic, only the environment can prevent the
// runtime's report: GOTRACEBACK=none, which is ignored where everything may be shown.
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

// maxStacks bounds the stacks that are written, in octets.
const maxStacks = 4 << 20

func stacks() string {
	b := make([]byte, maxStacks)
	return string(b[:runtime.Stack(b, true)])
}

// bare removes the arguments from stacks.
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

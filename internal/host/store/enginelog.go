package store

import (
	"fmt"
	"log/slog"
	"runtime"
)

// engineLogger takes Pebble's log messages. They help only those who debug Pebble.
type engineLogger struct {
	log    *slog.Logger
	engine *engine
}

func (l *engineLogger) Infof(string, ...any) {}

func (l *engineLogger) Errorf(format string, args ...any) {
	l.log.Debug("store: the database reports", "text", fmt.Sprintf(format, args...))
}

// Fatalf must not return, and must not end the process: it cuts the engine off, and ends the
// goroutine that called it.
func (l *engineLogger) Fatalf(format string, args ...any) {
	l.engine.abandon(fmt.Errorf("%w: %s", errFatal, fmt.Sprintf(format, args...)))
	runtime.Goexit()
}

// Package service is what the relay daemon and the guard have in common as
// processes: the logger, the version, and what they tell the service manager.
package service

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"fairlead/internal/app/config"
)

// version is set when a release is linked.
var version string

// Version is the program's version, from the build.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// NewLogger writes messages of a level or more.
func NewLogger(format config.LogFormat, level slog.Leveler, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// Level is a configured level in slog's terms.
func Level(l config.LogLevel) slog.Level {
	return [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[l]
}

// Notify tells the service manager a state, if there is one.
func Notify(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Warn("service manager not told", "state", state, "error", err)
	}
}

// Reloading is what notify-reload wants to hear: both in one message.
func Reloading() string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return sd.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sd.SdNotifyReloading, t.Nano()/1000)
}

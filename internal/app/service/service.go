// Package service is what the relay daemon and the guard have in common as processes: the logger,
// the version, and the messages to the service manager.
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

// NewLogger writes messages of this level or a higher one.
func NewLogger(format config.LogFormat, level slog.Leveler, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// Level is slog's level for a configured one.
func Level(l config.LogLevel) slog.Level {
	return [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[l]
}

// Notify tells the service manager a state, if there is a service manager.
func Notify(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Warn("service manager not told", "state", state, "error", err)
	}
}

// Reloading is the state that systemd expects from a service of Type=notify-reload: both lines in
// one message.
func Reloading() string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return sd.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sd.SdNotifyReloading, t.Nano()/1000)
}

package harness

import (
	"os"
	"strings"
)

// niceness is the niceness of what is measured, as an argument of nice: it runs before everything
// else on the machine, so that other programs do not change the figures.
const niceness = "-15"

// Preferred returns a command with this niceness.
func Preferred(args ...string) []string { return append([]string{"nice", "-n", niceness}, args...) }

// Pinned returns a command with this niceness, on one processor.
func Pinned(core string, args ...string) []string {
	return Preferred(append([]string{"taskset", "-c", core}, args...)...)
}

// prefer gives that niceness to the session that contains the bench and all its programs: where
// the kernel first shares time between sessions, niceness only counts within a session. Call
// restore at the end. Without a session, or without the right to change it, nothing happens.
func prefer() (restore func()) {
	const file = "/proc/self/autogroup"
	text, err := os.ReadFile(file) // "/autogroup-17 nice 0"
	fields := strings.Fields(string(text))
	if err != nil || len(fields) != 3 || os.WriteFile(file, []byte(niceness), 0) != nil {
		return func() {}
	}
	return func() { _ = os.WriteFile(file, []byte(fields[2]), 0) }
}

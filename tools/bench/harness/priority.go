package harness

import (
	"os"
	"strings"
)

// niceness is that of what is measured, as an argument of nice: it goes before
// everything else that the machine may have to do, which is not to be measured.
const niceness = "-15"

// Preferred is a command that goes before everything else.
func Preferred(args ...string) []string { return append([]string{"nice", "-n", niceness}, args...) }

// Pinned is a command on one core that goes before everything else.
func Pinned(core string, args ...string) []string {
	return Preferred(append([]string{"taskset", "-c", core}, args...)...)
}

// prefer gives that niceness to the session that the bench and all its programs
// are in: where the kernel shares out time between sessions first, niceness counts
// only within one. Call restore at the end. Without a session, or without the right
// to change it, nothing happens.
func prefer() (restore func()) {
	const file = "/proc/self/autogroup"
	text, err := os.ReadFile(file) // "/autogroup-17 nice 0"
	fields := strings.Fields(string(text))
	if err != nil || len(fields) != 3 || os.WriteFile(file, []byte(niceness), 0) != nil {
		return func() {}
	}
	return func() { _ = os.WriteFile(file, []byte(fields[2]), 0) }
}

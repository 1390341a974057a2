package main

import (
	"os"
	"strings"
)

// preferred is how much nicer everybody else has to be than what is measured.
const preferred = "-15"

// pinned is a command on one core, before everything else that the machine may
// have to do: what others do is not to be measured.
func pinned(core string, args ...string) []string {
	return append([]string{"nice", "-n", preferred, "taskset", "-c", core}, args...)
}

// prefer does the same for the session that the bench and all its programs are
// in: where the kernel shares out time between sessions first, niceness counts
// only within one. Call restore at the end. Without it, or without the right to
// change it, nothing happens.
func prefer() (restore func()) {
	const file = "/proc/self/autogroup"
	text, err := os.ReadFile(file) // "/autogroup-17 nice 0"
	fields := strings.Fields(string(text))
	if err != nil || len(fields) != 3 || os.WriteFile(file, []byte(preferred), 0) != nil {
		return func() {}
	}
	return func() { _ = os.WriteFile(file, []byte(fields[2]), 0) }
}

package main

import "fairlead/tools/bench/priority"

// pinned is a command on one core, before everything else that the machine may
// have to do.
func pinned(core string, args ...string) []string {
	return append([]string{"nice", "-n", priority.Niceness, "taskset", "-c", core}, args...)
}

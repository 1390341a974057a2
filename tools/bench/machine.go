package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what the figures depend on.
type machine struct {
	Processor  string
	Cores      int
	Kernel     string
	Go         string
	FileSystem string // of the store
	Fairlead   string // its version
}

func describe(o options) machine {
	m := machine{Processor: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = fmt.Sprintf("%s %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]))
	}
	if out, err := exec.Command(o.fairlead, "version").Output(); err == nil {
		m.Fairlead, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	}
	m.FileSystem, _, _ = fileSystem(o.dir)
	return m
}

// neighbours is how many entries the machine's neighbour table may have.
func neighbours() int {
	text, err := os.ReadFile("/proc/sys/net/ipv6/neigh/default/gc_thresh3")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

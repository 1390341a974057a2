package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

var allocsLine = regexp.MustCompile(`(?m)^Benchmark(\w+).*\s(\d+) allocs/op$`)

// allocations runs the core's Go benchmarks of messages that are only forwarded.
func allocations(*bench) (bar, error) {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark(Solicit|Advertise)$", "-benchmem", "./internal/core/relay6")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return bar{}, fmt.Errorf("go test: %w: %s", err, out)
	}
	return judgeAllocations(string(out)), nil
}

func judgeAllocations(output string) bar {
	found := allocsLine.FindAllStringSubmatch(output, -1)
	a := bar{Name: "relay6-allocs", Wanted: "0 a message"}
	worst := 0
	for i, f := range found {
		n, _ := strconv.Atoi(f[2])
		worst = max(worst, n)
		if i > 0 {
			a.Figure += ", "
		}
		a.Figure += fmt.Sprintf("%d for %s", n, f[1])
	}
	a.Met = worst == 0
	if len(found) != 2 {
		a.Figure, a.Void = "unknown", fmt.Sprintf("%d of 2 benchmarks told", len(found))
	}
	return a
}

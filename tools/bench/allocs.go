package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
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
	const name = "relay6-allocs"
	found := allocsLine.FindAllStringSubmatch(output, -1)
	if len(found) != 2 {
		return unknown(name, fmt.Sprintf("%d of 2 benchmarks told", len(found)))
	}
	var figures []string
	none := true
	for _, f := range found {
		figures = append(figures, fmt.Sprintf("%s for %s", f[2], f[1]))
		none = none && f[2] == "0"
	}
	return judge(name, strings.Join(figures, ", "), none)
}

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"fairlead/tools/bench/bars"
)

// diskDelay is how much longer each sync takes, in microseconds.
const diskDelay = 20_000

// slowDisk compares the waiting time of Solicits beside grants on a disk that is
// slow with that on one that is not. strace holds each sync back after it is
// done, and is there in both cases.
func slowDisk(b *bench) (bar, error) {
	if err := b.unload(); err != nil {
		return bar{}, err
	}
	quick, quickTrace, err := b.traced("quick", "")
	if err != nil {
		return bar{}, err
	}
	slow, _, err := b.traced("slow", fmt.Sprintf(":delay_exit=%d", diskDelay))
	if err != nil {
		return bar{}, err
	}
	before, err := syncs(quickTrace)
	if err != nil {
		return bar{}, err
	}
	var (
		times   []float64
		p99s    [2][]float64
		granted int
	)
	for range b.rounds {
		var p99 [2]float64
		for i, l := range []*loaded{quick, slow} {
			res, err := l.solicitsBesideGrants(b)
			if err != nil {
				return bar{}, err
			}
			p99[i] = res.Kinds["solicit"].Latency.P99
			p99s[i] = append(p99s[i], p99[i])
			if l == quick {
				granted += res.Kinds["request"].Answered
			}
		}
		times = append(times, p99[1]/p99[0])
	}
	after, err := syncs(quickTrace)
	if err != nil {
		return bar{}, err
	}
	d := ratio("relay6-slow-disk", bars.Median(times), wantSlowDisk, false, "the p99 of Solicits")
	d.Figure += fmt.Sprintf(" (%.2f ms, %.2f ms without the delay)", bars.Median(p99s[1])/1e3, bars.Median(p99s[0])/1e3)
	d.Notes = []string{fmt.Sprintf("Synced to disk: strace saw %d fdatasync and fsync calls while %d prefixes were granted at a rate of 400/s.", after-before, granted)}
	if after == before {
		d.Void = "the store did not sync"
	}
	return d, errors.Join(quick.close(), slow.close())
}

// solicitsBesideGrants plays Solicits and as many grants that there is always one
// on its way to the disk.
func (l *loaded) solicitsBesideGrants(b *bench) (result, error) {
	const clients = 1 << 14
	res, err := l.play(b, load{clients: clients, first: l.fresh, rate: openRate, mix: "solicit=80,request=20", length: b.length})
	l.fresh += clients
	return res, err
}

// traced starts a fairlead of which strace sees the syncs, and perhaps tampers
// with them.
func (b *bench) traced(name, tamper string) (l *loaded, trace string, err error) {
	r, err := b.rig(false)
	if err != nil {
		return nil, "", err
	}
	if err := r.know(0); err != nil {
		return nil, "", err
	}
	trace = b.state(r, name) + ".strace"
	const calls = "fdatasync,fsync"
	under := []string{"strace", "-D", "-f", "--seccomp-bpf", "-q", "-o", trace, "-e", "trace=" + calls}
	if tamper != "" {
		under = append(under, "-e", "inject="+calls+tamper)
	}
	f, err := b.startFairlead(r, plan{name: name, under: under})
	if err != nil {
		return nil, "", err
	}
	if err := b.fill(r, b.present); err != nil {
		return nil, "", err
	}
	return &loaded{rig: r, fairlead: f, fresh: freshNumbers}, trace, nil
}

// syncs counts the syncs in what strace has written.
func syncs(trace string) (int, error) {
	text, err := os.ReadFile(trace)
	return strings.Count(string(text), "sync(") - strings.Count(string(text), "resumed>"), err
}

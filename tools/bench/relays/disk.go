package relays

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// diskDelay is how much longer each sync takes, in microseconds. wantSlowDisk is how many times
// as long Solicits may wait because of that.
const (
	diskDelay    = 20_000
	wantSlowDisk = 1.2
)

// syncs is the unit of the sync calls that strace has seen, and grantsSeen that of the grants in
// the same time.
const (
	syncs      = "syncs"
	grantsSeen = "grants"
)

// slowDisk compares how long Solicits wait beside grants on a slow disk, and on a normal disk.
// strace runs in both cases; for the slow disk it delays the return of each sync.
func (s *role) slowDisk() harness.Bench {
	all := map[string]*loaded{}
	return harness.Bench{
		Name: s.bench("slow-disk"), Between: []string{"quick", "slow"},
		Begin: func(disk string) (err error) {
			if err := s.unload(); err != nil {
				return err
			}
			all[disk], err = s.traced(disk)
			return err
		},
		Turns: []harness.Turn{func(disk string, _ int, to *harness.Results) error {
			return s.solicitsBesideGrants(all[disk], disk, to)
		}},
		End: func() (err error) {
			for _, l := range all {
				err = errors.Join(err, l.Close())
			}
			return err
		},
		Bars: []harness.Bar{{Name: s.bar("slow-disk"), Wanted: fmt.Sprintf("at most %g", wantSlowDisk), Judge: judgeSlowDisk}},
	}
}

func judgeSlowDisk(r *harness.Results) harness.Verdict {
	quick, slow := "SlowDisk/disk=quick", "SlowDisk/disk=slow"
	v := harness.AtMost(wantSlowDisk, harness.Median(r.Shares(slow, quick, network.P99)), "the p99 of Solicits")
	v.Figure += fmt.Sprintf(" (%.2f ms, %.2f ms without the delay)", r.Median(slow, network.P99)*1e3, r.Median(quick, network.P99)*1e3)
	seen := r.Sum(quick, syncs)
	v.Notes = []string{fmt.Sprintf("Synced to disk: strace saw %.0f fdatasync and fsync calls while %.0f prefixes were granted at a rate of 400/s.", seen, r.Sum(quick, grantsSeen))}
	if seen == 0 {
		v.Void = "the store did not sync"
	}
	return v
}

// solicitsBesideGrants plays Solicits, and so many grants that the disk always has one to write.
func (s *role) solicitsBesideGrants(l *loaded, disk string, to *harness.Results) error {
	const clients = 1 << 14
	before, err := s.syncs(disk)
	if err != nil {
		return err
	}
	res, err := l.Play(network.Load{Clients: clients, First: l.fresh, Rate: openRate, Mix: "solicit=80,request=20", Length: s.length})
	if err != nil {
		return err
	}
	l.fresh += clients
	after, err := s.syncs(disk)
	if err != nil {
		return err
	}
	to.Add("SlowDisk/disk="+disk, res.Kinds["solicit"].Answered, harness.Of(res.Kinds["solicit"].Latency.P99/1e6, network.P99),
		harness.Of(float64(after-before), syncs), harness.Of(float64(res.Kinds["request"].Answered), grantsSeen))
	return nil
}

// trace returns the path of the file that strace writes.
func (s *role) trace(disk string) string { return s.Folder + "/" + disk + ".strace" }

// traced starts a fairlead whose syncs strace counts, and delays if the disk is to be slow.
func (s *role) traced(disk string) (*loaded, error) {
	const calls = "fdatasync,fsync"
	under := []string{"strace", "-D", "-f", "--seccomp-bpf", "-q", "-o", s.trace(disk), "-e", "trace=" + calls}
	if disk == "slow" {
		under = append(under, "-e", fmt.Sprintf("inject=%s:delay_exit=%d", calls, diskDelay))
	}
	return s.load(plan{name: ours, under: under}, false, s.present)
}

// syncs counts the syncs in the file that strace has written.
func (s *role) syncs(disk string) (int, error) {
	text, err := os.ReadFile(s.trace(disk))
	return strings.Count(string(text), "sync(") - strings.Count(string(text), "resumed>"), err
}

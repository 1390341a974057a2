package servers

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// perfdhcp makes rate new clients per second get a prefix each, in four messages, and measures
// the server meanwhile. Each call needs another number.
func perfdhcp(n *network.Network, rate int, length time.Duration, number int) (res network.Result, err error) {
	const wait = 500 * time.Millisecond // for the last answers
	seconds := int(max(time.Second, length.Round(time.Second)) / time.Second)
	cmd := exec.Command("nice", harness.Pinned(network.GeneratorCore,
		"perfdhcp", "-6", "-A", "1", "-e", "prefix-only", "-g", "single", "-l", "g0", "-s", "1",
		"-b", fmt.Sprintf("mac=02:00:%02x:00:00:00", number&0xff), "-R", strconv.Itoa(1<<24),
		"-r", strconv.Itoa(rate), "-p", strconv.Itoa(seconds), "-W", strconv.FormatInt(wait.Microseconds(), 10), network.LinkAddress)[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that only we get Ctrl-C; we end perfdhcp
	before, err := harness.CPU(n.Pid())
	if err != nil {
		return res, err
	}
	if err := n.Gen.Do(cmd.Start); err != nil {
		return res, err
	}
	stuck := time.AfterFunc(network.Patience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	var ended *exec.ExitError
	if err := cmd.Wait(); err != nil && (!errors.As(err, &ended) || ended.ExitCode() < 0) { // it has exit codes for exchanges that were not finished
		return res, fmt.Errorf("perfdhcp: %w: %s", err, out.Bytes())
	}
	after, err := harness.CPU(n.Pid())
	if err != nil {
		return res, err
	}
	if res.Offered, res.Answered, err = parsePerfdhcp(out.String()); err != nil {
		return res, err
	}
	res.OfferedRate, res.AnsweredRate = float64(res.Offered)/float64(seconds), float64(res.Answered)/float64(seconds)
	res.CPU = after - before
	res.Busy = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() / float64(seconds)
	res.RSS, err = harness.Resident(n.Pid())
	return res, err
}

// parsePerfdhcp reads how many exchanges perfdhcp has begun, and how many ended. An exchange
// whose lease perfdhcp rejected did not end.
func parsePerfdhcp(text string) (begun, ended int, err error) {
	const solicits, requests = "SOLICIT-ADVERTISE", "REQUEST-REPLY"
	figures := map[string]int{}
	section := ""
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		if key == "***Statistics for" {
			section = strings.Trim(value, "*")
		} else if n, err := strconv.Atoi(value); err == nil {
			figures[section+" "+key] = n
		}
	}
	begun, ok := figures[solicits+" sent packets"]
	ended, also := figures[requests+" received packets"]
	if !ok || !also {
		return 0, 0, fmt.Errorf("perfdhcp has told nothing: %s", text)
	}
	return begun, ended - figures[requests+" rejected leases"], nil
}

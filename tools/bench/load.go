package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load is one run of the load generator.
type load struct {
	clients, first int
	prepare        int           // clients that get a delegation beforehand
	mix            string        // "solicit=1,information-request=1"
	rate           float64       // exchanges a second, or
	window         int           // exchanges under way at a time
	length         time.Duration // or
	count          int           // exchanges
}

// The loads that contenders are compared with.
const (
	plain = "solicit=1,information-request=1"
	mixed = "request=10,renew=50,solicit=20,information-request=20"
)

// result is what the load generator tells, and what the relay used meanwhile.
type result struct {
	Seconds      float64         `json:"seconds"`
	Offered      int             `json:"offered"`
	Answered     int             `json:"answered"`
	Late         int             `json:"late"`
	Lost         int             `json:"lost"`
	SendFailed   int             `json:"send-failed"`
	OfferedRate  float64         `json:"offered-rate"`
	AnsweredRate float64         `json:"answered-rate"`
	Latency      latency         `json:"latency-us"`
	Kinds        map[string]kind `json:"kinds"`

	CPU time.Duration `json:"-"` // of the relay
	RSS int64         `json:"-"` // of the relay, at the end
}

// kind is what became of the exchanges of one kind.
type kind struct {
	Offered  int     `json:"offered"`
	Answered int     `json:"answered"`
	Latency  latency `json:"latency-us"`
}

// latency is in microseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// arguments are those of `fairlead load`.
func (l load) arguments(port string) []string {
	args := []string{
		"load", "--json", "--interface", port,
		"--clients", strconv.Itoa(l.clients), "--first", strconv.Itoa(l.first), "--mix", l.mix,
	}
	if l.prepare > 0 {
		args = append(args, "--prepare", strconv.Itoa(l.prepare))
	}
	if l.rate > 0 {
		args = append(args, "--rate", strconv.FormatFloat(l.rate, 'f', 0, 64))
	} else {
		args = append(args, "--window", strconv.Itoa(l.window))
	}
	if l.count > 0 {
		args = append(args, "--count", strconv.Itoa(l.count))
	} else {
		args = append(args, "--duration", l.length.String())
	}
	return args
}

// play runs the load on the rig's port, and measures the relay from the moment
// when the generator starts to measure.
func (r *rig) play(b *bench, l load) (result, error) {
	cmd, events, err := r.generate(b, r.port, l)
	if err != nil {
		return result{}, err
	}
	stuck := time.AfterFunc(l.length+3*patience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	res, err := r.follow(events)
	if ended := cmd.Wait(); err == nil {
		err = ended
	}
	if err != nil {
		return res, fmt.Errorf("load: %w: %s", err, strings.TrimSpace(cmd.Stderr.(*strings.Builder).String()))
	}
	return res, nil
}

// generate starts the load generator. Its events are to be read.
func (r *rig) generate(b *bench, port string, l load) (*exec.Cmd, io.Reader, error) {
	cmd := exec.Command("taskset", append([]string{"-c", otherCore, b.fairlead}, l.arguments(port)...)...)
	cmd.Stderr = &strings.Builder{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, and we tidy up
	events, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, events, r.gen.Do(cmd.Start)
}

// follow reads events until the result, and looks at the relay at both ends.
func (r *rig) follow(events io.Reader) (result, error) {
	var (
		before time.Duration
		found  bool
		res    result
	)
	for lines := bufio.NewScanner(events); lines.Scan(); {
		var event struct{ Event string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return res, fmt.Errorf("event %q: %w", lines.Text(), err)
		}
		var err error
		switch event.Event {
		case "measure":
			before, err = cpu(r.pid)
		case "result":
			found = true
			err = errors.Join(json.Unmarshal(lines.Bytes(), &res), r.weigh(&res, before))
		}
		if err != nil {
			return res, err
		}
	}
	if !found {
		return res, errors.New("no result")
	}
	return res, nil
}

// weigh adds what the relay has used since.
func (r *rig) weigh(res *result, before time.Duration) error {
	after, err := cpu(r.pid)
	if err != nil {
		return err
	}
	res.CPU = after - before
	res.RSS, err = resident(r.pid)
	return err
}

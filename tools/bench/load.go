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
	SendFailed   int             `json:"send_failed"`
	OfferedRate  float64         `json:"offered_rate"`
	AnsweredRate float64         `json:"answered_rate"`
	Latency      latency         `json:"latency_us"`
	Kinds        map[string]kind `json:"kinds"`
	Exhausted    bool            `json:"exhausted"` // it ended early: no client was left

	CPU time.Duration `json:"-"` // of the relay
	RSS int64         `json:"-"` // of the relay, at the end
}

// kind is what became of the exchanges of one kind.
type kind struct {
	Offered  int     `json:"offered"`
	Answered int     `json:"answered"`
	Latency  latency `json:"latency_us"`
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

// play waits until the relay has nothing left to do, runs the load on the rig's
// port, and measures the relay from the moment when the generator starts to
// measure.
func (r *rig) play(b *bench, l load) (res result, err error) {
	if err := r.rest(); err != nil {
		return res, err
	}
	var before time.Duration
	g, err := r.generate(b, r.port, l)
	if err != nil {
		return res, err
	}
	res, err = g.follow(func() (err error) {
		before, err = cpu(r.pid)
		return err
	})
	if err != nil {
		return res, err
	}
	after, err := cpu(r.pid)
	if err != nil {
		return res, err
	}
	res.CPU = after - before
	res.RSS, err = resident(r.pid)
	return res, err
}

// rest waits until the relay does nothing, for instance with what an overload has
// left in its queues. One that never rests is measured all the same.
func (r *rig) rest() error {
	const (
		look  = 100 * time.Millisecond
		limit = 10 * time.Second
	)
	before, err := cpu(r.pid)
	for end := time.Now().Add(limit); err == nil && time.Now().Before(end); {
		time.Sleep(look)
		after, failed := cpu(r.pid)
		if err = failed; after-before < look/50 {
			break
		}
		before = after
	}
	return err
}

// generator is a load generator that runs.
type generator struct {
	cmd    *exec.Cmd
	events io.Reader
	diag   strings.Builder
}

// generate starts a load generator. It is to be followed.
func (r *rig) generate(b *bench, port string, l load) (*generator, error) {
	args := pinned(otherCore, append([]string{b.fairlead}, l.arguments(port)...)...)
	g := &generator{cmd: exec.Command(args[0], args[1:]...)}
	g.cmd.Stderr = &g.diag
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us, and we tidy up
	var err error
	if g.events, err = g.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return g, r.gen.Do(g.cmd.Start)
}

// follow reads what the generator tells until it ends, and calls measure when it
// starts to measure.
func (g *generator) follow(measure func() error) (result, error) {
	stuck := time.AfterFunc(3*patience, func() { _ = g.cmd.Process.Kill() })
	defer stuck.Stop()
	res, err := read(g.events, measure)
	if err != nil {
		_ = g.cmd.Process.Kill() // it may have ended
	}
	if ended := g.cmd.Wait(); err == nil {
		err = ended
	}
	if err != nil {
		err = fmt.Errorf("load: %w: %s", err, strings.TrimSpace(g.diag.String()))
	}
	return res, err
}

// read reads events until the end; one of them must be the result.
func read(events io.Reader, measure func() error) (res result, err error) {
	found := false
	for lines := bufio.NewScanner(events); lines.Scan() && err == nil; {
		var event struct{ Event string }
		if err = json.Unmarshal(lines.Bytes(), &event); err != nil {
			return res, fmt.Errorf("event %q: %w", lines.Text(), err)
		}
		switch event.Event {
		case "measure":
			err = measure()
		case "result":
			found = true
			err = json.Unmarshal(lines.Bytes(), &res)
		}
	}
	switch {
	case err != nil:
	case !found:
		err = errors.New("no result")
	case res.Exhausted:
		err = errors.New("there were too few clients for the mix")
	}
	return res, err
}

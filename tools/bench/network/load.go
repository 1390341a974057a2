package network

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

	"fairlead/internal/core/loadgen"
	"fairlead/tools/bench/harness"
)

// Load is one run of the load generator.
type Load struct {
	Family         loadgen.Family // of the network
	Clients, First int
	Prepare        int           // clients that get a lease before the measurement
	Mix            string        // "solicit=1,information-request=1"
	Rate           float64       // exchanges per second; or else Window
	Window         int           // exchanges under way at a time
	Length         time.Duration // of the measurement; or else Count
	Count          int           // exchanges in all
	Timeout        time.Duration // the default if 0

	relayed bool // the clients are behind a relay agent, which the generator plays
}

// Plain and Plain4 are mixes in which nothing changes.
const (
	Plain  = "solicit=1,information-request=1"
	Plain4 = "discover=1"
)

// Result is what the load generator reports, and what the relay used meanwhile.
type Result struct {
	Seconds      float64         `json:"seconds"`
	Offered      int             `json:"offered"`
	Answered     int             `json:"answered"`
	Late         int             `json:"late"`
	OfferedRate  float64         `json:"offered_rate"`
	AnsweredRate float64         `json:"answered_rate"`
	Latency      Latency         `json:"latency_us"`
	Kinds        map[string]Kind `json:"kinds"`
	Exhausted    bool            `json:"exhausted"` // it ended early, as no client was left

	CPU  time.Duration `json:"-"` // of the relay
	RSS  int64         `json:"-"` // of the relay, at the end
	Busy float64       `json:"-"` // share of the time in which the generator had something to do
}

// Kind has the results of the exchanges of one kind.
type Kind struct {
	Answered int     `json:"answered"`
	Latency  Latency `json:"latency_us"`
}

// Latency is in microseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Units of the figures of a load. CPU time is the relay's time per exchange. Late exchanges count
// as well, because they are as much work.
const (
	CPU      = "cpu-sec/exchange"
	Rate     = "exchanges/s"
	Offered  = "offered/s"
	P50, P99 = "p50-sec", "p99-sec"
	Loss     = "lost/exchange" // not answered in time
	RSS      = "rss-B"
)

// Loss returns the share of the exchanges that were not answered in time.
func (r Result) Loss() float64 {
	if r.Offered == 0 {
		return 0
	}
	return 1 - float64(r.Answered)/float64(r.Offered)
}

// AddTo adds the figures under a name.
func (r Result) AddTo(to *harness.Results, name string) {
	to.Add(name, r.Answered+r.Late,
		harness.Of(r.CPU.Seconds()/float64(r.Answered+r.Late), CPU), harness.Of(r.AnsweredRate, Rate), harness.Of(r.OfferedRate, Offered),
		harness.Of(r.Latency.P50/1e6, P50), harness.Of(r.Latency.P99/1e6, P99), harness.Of(r.Loss(), Loss), harness.Of(float64(r.RSS), RSS))
}

// Arguments returns the arguments of `fairlead load`, for an interface.
func (l Load) Arguments(port string) []string {
	args := []string{"load", "--json", "--interface", port}
	if l.relayed {
		args = []string{"load", "--json", "--server", LinkAddress, "--link-address", AgentAddress}
	}
	args = append(args, "--clients", strconv.Itoa(l.Clients), "--first", strconv.Itoa(l.First), "--mix", l.Mix)
	if l.Family == loadgen.DHCPv4 {
		args = append(args, "-4")
	}
	if l.Prepare > 0 {
		args = append(args, "--prepare", strconv.Itoa(l.Prepare))
	}
	if l.Rate > 0 {
		args = append(args, "--rate", strconv.FormatFloat(l.Rate, 'f', 0, 64))
	} else {
		args = append(args, "--window", strconv.Itoa(l.Window))
	}
	if l.Count > 0 {
		args = append(args, "--count", strconv.Itoa(l.Count))
	} else {
		args = append(args, "--duration", l.Length.String())
	}
	if l.Timeout > 0 {
		args = append(args, "--timeout", l.Timeout.String())
	}
	return args
}

// Play waits until the relay has nothing left to do, runs the load, and measures the relay from
// the moment at which the generator starts to measure.
func (n *Network) Play(l Load) (res Result, err error) {
	if err := n.Idle(); err != nil {
		return res, err
	}
	return n.PlayNow(l)
}

// PlayNow is Play without waiting for the relay.
func (n *Network) PlayNow(l Load) (res Result, err error) {
	var before, prepared time.Duration
	g, err := n.generate(n.port(), l)
	if err != nil {
		return res, err
	}
	res, err = g.follow(func() (err error) {
		if prepared, err = harness.CPU(g.cmd.Process.Pid); err != nil {
			return err
		}
		before, err = harness.CPU(n.Pid())
		return err
	})
	if err != nil {
		return res, err
	}
	after, err := harness.CPU(n.Pid())
	if err != nil {
		return res, err
	}
	res.CPU = after - before
	res.Busy = (g.cmd.ProcessState.UserTime() + g.cmd.ProcessState.SystemTime() - prepared).Seconds() / res.Seconds
	res.RSS, err = harness.Resident(n.Pid())
	return res, err
}

// Beside runs f while another load comes from a port of gen, and returns the result of that load.
func (n *Network) Beside(port string, l Load, f func() error) (other Result, err error) {
	g, err := n.generate(port, l)
	if err != nil {
		return other, err
	}
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		other, err = g.follow(func() error {
			close(started)
			return nil
		})
		ended <- err
	}()
	select {
	case err = <-ended:
		return other, err
	case <-started:
	}
	err = f()
	return other, errors.Join(err, <-ended)
}

// Idle waits until the relay does nothing; for instance, an overload may have left messages in
// its queues. A relay that is never idle is measured all the same.
func (n *Network) Idle() error {
	const (
		look  = 100 * time.Millisecond
		limit = 10 * time.Second
	)
	before, err := harness.CPU(n.Pid())
	for end := time.Now().Add(limit); err == nil && time.Now().Before(end); {
		time.Sleep(look)
		after, failed := harness.CPU(n.Pid())
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

// generate starts a load generator. Its caller must call follow.
func (n *Network) generate(port string, l Load) (*generator, error) {
	l.Family, l.relayed = n.options.Family, n.options.Server
	args := append([]string{n.options.Generator}, l.Arguments(port)...)
	if n.options.Pinned {
		args = harness.Pinned(GeneratorCore, args...)
	}
	g := &generator{cmd: exec.Command(args[0], args[1:]...)}
	g.cmd.Stderr = &g.diag
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that only we get Ctrl-C; we end the generator
	var err error
	if g.events, err = g.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return g, n.Gen.Do(g.cmd.Start)
}

// follow reads the generator's output until it ends, and calls measure when it starts to measure.
func (g *generator) follow(measure func() error) (Result, error) {
	stuck := time.AfterFunc(3*Patience, func() { _ = g.cmd.Process.Kill() })
	defer stuck.Stop()
	res, err := read(g.events, measure)
	if err != nil {
		_ = g.cmd.Process.Kill() // an error means that it has ended
	}
	if ended := g.cmd.Wait(); err == nil {
		err = ended
	}
	if err != nil {
		err = fmt.Errorf("load: %w: %s", err, strings.TrimSpace(g.diag.String()))
	}
	return res, err
}

// read reads events until the end. One of them must be the result.
func read(events io.Reader, measure func() error) (res Result, err error) {
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

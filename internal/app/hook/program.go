package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// eventOf is the word of the configuration for the event that a note tells of; empty: the program
// is never told of such.
func eventOf(n *effect.Note) string {
	switch n.Kind {
	case effect.NoteDelegation:
		return n.Event.Kind.String()
	case effect.NotePool:
		return n.Kind.String()
	}
	return ""
}

// subjectOf is what an event is about, for the log.
func subjectOf(n *effect.Note) slog.Attr {
	if n.Pool != nil {
		return slog.String("pool", (*api.Server6Pool)(n.Pool).Name())
	}
	return slog.String("prefix", n.Event.Subject().Prefix.String())
}

// environment is everything that the program is told. Nothing of our own environment is in it.
func environment(n *effect.Note, now instant.Now) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
	}
	add := func(name, value string) {
		if value != "" {
			env = append(env, "FAIRLEAD_"+name+"="+value)
		}
	}
	add("EVENT", eventOf(n))
	if n.Pool != nil {
		addPool(add, n.Pool)
	} else {
		addBinding(add, &n.Event, now)
	}
	return env
}

// addPool adds what is to be known of a pool.
func addPool(add func(name, value string), p *effect.Pool) {
	state := "has-room"
	if p.NearlyFull {
		state = "nearly-full"
	}
	kind := binding.Address
	if p.Prefix.IsValid() {
		kind = binding.Prefix
	}
	add("REASON", state)
	add("KIND", kind.String())
	add("POOL", (*api.Server6Pool)(p).Name())
	add("SUBNET", p.Subnet.String())
	add("NETWORK", p.Network)
	add("TAKEN", strconv.FormatUint(p.Taken, 10))
	add("SIZE", strconv.FormatUint(p.Size, 10))
}

// addBinding adds what is to be known of what happened to a binding.
func addBinding(add func(name, value string), e *binding.Event, now instant.Now) {
	d := e.Subject()
	add("REASON", e.Reason.String())
	add("KIND", d.Kind.String())
	add("PREFIX", d.Prefix.String())
	add("CLIENT", dhcp6.DUID(d.Client.Identifier()).String())
	if !d.NoIAID {
		add("IAID", strconv.FormatUint(uint64(d.IAID), 10))
	}
	add("LINK", d.Link)
	add("VRF", d.VRF)
	add("NEXT_HOP", d.NextHop.String())
	add("LINK_LAYER", d.LinkLayer.String())
	add("PREFERRED", seconds(now.Until(d.Preferred)))
	add("VALID", seconds(now.Until(d.Valid)))
	add("SERVER", d.Server)
	if e.Kind == binding.Moved {
		add("OLD_LINK", e.Old.Link)
		add("OLD_NEXT_HOP", e.Old.NextHop.String())
		add("OLD_CLIENT", dhcp6.DUID(e.Old.Client.Identifier()).String())
	}
}

// seconds is a remaining lifetime in seconds, or "infinite".
func seconds(left time.Duration) string {
	if left == binding.Infinite {
		return "infinite"
	}
	return strconv.FormatInt(max(0, int64(left/time.Second)), 10)
}

// maxOutput bounds how much of the program's output is logged, in octets.
const maxOutput = 2048

// run runs the program once, and waits for it.
func (r *Runner) run(ctx context.Context, c call) {
	r.mu.Lock()
	timeout := r.cfg.Timeout
	r.mu.Unlock()
	output, err := r.execute(ctx, c, timeout)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.counters.Succeeded++
		return
	}
	r.counters.Failed++
	r.log.Warn("hook: program", "program", c.program, "event", c.event, c.subject, "error", err, "output", output)
}

// Why a program was killed, with everything that it has started.
var (
	errTimeout  = errors.New("timed out")
	errStopping = errors.New("fairlead stops")
)

func (r *Runner) execute(ctx context.Context, c call, timeout time.Duration) (output string, err error) {
	own, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	defer kill(nil)
	late := r.after(timeout, func() { kill(fmt.Errorf("%w after %v", errTimeout, timeout)) })
	defer late.Stop()
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(r.grace)
		defer t.Stop()
		select {
		case <-t.C:
			kill(errStopping)
		case <-own.Done():
		}
	})
	defer stop()
	cmd := exec.CommandContext(own, c.program)
	cmd.Env = c.environment
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = r.drain
	var out head
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if cause := context.Cause(own); err != nil && cause != nil {
		err = cause
	}
	return string(out), err
}

// head keeps the first octets that are written, and discards the rest.
type head []byte

func (h *head) Write(b []byte) (int, error) {
	*h = append(*h, b[:min(len(b), maxOutput-len(*h))]...)
	return len(b), nil
}

package ipsec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/strongswan/govici/vici"
)

// Refusal is strongSwan's answer when it did not carry a command out. Any other error of a
// command means that we cannot talk to strongSwan.
type Refusal struct {
	Command string
	Text    string // strongSwan's own words
}

func (r *Refusal) Error() string {
	return "strongswan: " + r.Command + ": refused: " + r.Text
}

// session sends commands to charon, and connects when it has to. An error other than a refusal
// closes the connection, because the library then cannot tell which answer belongs to which
// command. One goroutine uses it.
type session struct {
	socket string
	limit  time.Duration // of one command
	vici   *vici.Session // nil: not connected
	conn   *framed
}

// connect opens a session of the library over a checked connection. The session is for streamed
// commands, or for one kind of event.
func connect(ctx context.Context, socket string, streaming bool) (*vici.Session, *framed, error) {
	var conn *framed
	dial := func(_ context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn = newFramed(c, streaming)
		return conn, nil
	}
	v, err := vici.NewSession(vici.WithAddr("unix", socket), vici.WithDialContext(dial))
	if err != nil {
		return nil, nil, fmt.Errorf("strongswan: connect: %w", err)
	}
	return v, conn, nil
}

func (s *session) ready(ctx context.Context) (err error) {
	if s.vici == nil {
		s.vici, s.conn, err = connect(ctx, s.socket, true)
	}
	return err
}

// up reports whether the last command was answered; a refusal is an answer too.
func (s *session) up() bool { return s.vici != nil }

func (s *session) drop() {
	if s.vici != nil {
		_ = s.vici.Close()
	}
	s.vici, s.conn = nil, nil
}

// call sends a command and returns its answer. in may be nil.
func (s *session) call(ctx context.Context, command string, in *vici.Message) (*vici.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	out, err := s.vici.Call(ctx, command, in)
	if err == nil {
		return out, nil
	}
	if out != nil {
		return out, refusal(command, out)
	}
	return nil, s.fail(ctx, command, err)
}

// stream sends a command whose answer comes as events, and gives each event to found.
func (s *session) stream(ctx context.Context, command, event string, in *vici.Message, found func(*vici.Message) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		return err
	}
	for m, err := range s.vici.CallStreaming(ctx, command, event, in) {
		if err != nil && m != nil {
			return refusal(command, m)
		}
		if err == nil {
			s.conn.taken()
			err = found(m)
		}
		if err != nil {
			return s.fail(ctx, command, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return s.fail(ctx, command, err)
	}
	return nil
}

func refusal(command string, m *vici.Message) error {
	text := text(m, "errmsg")
	if text == "" {
		text = "without a reason"
	}
	return &Refusal{Command: command, Text: text}
}

// fail closes the connection, and says what was wrong: something that came, or that nothing came
// in time, or else what the library says.
func (s *session) fail(ctx context.Context, command string, err error) error {
	broken, late := s.conn.broken(), context.Cause(ctx)
	s.drop()
	switch {
	case errors.Is(broken, errFrame):
		err = broken
	case late != nil:
		err = late
	case broken != nil:
		err = broken
	}
	return fmt.Errorf("strongswan: %s: %w", command, err)
}

// text reads a value of a message; empty if there is none.
func text(m *vici.Message, key string) string {
	v, _ := m.Get(key).(string)
	return v
}

// list reads a list of a message.
func list(m *vici.Message, key string) []string {
	v, _ := m.Get(key).([]string)
	return v
}

// section reads a section of a message; empty if there is none.
func section(m *vici.Message, key string) *vici.Message {
	if v, ok := m.Get(key).(*vici.Message); ok {
		return v
	}
	return vici.NewMessage()
}

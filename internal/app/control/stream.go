package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"fairlead/internal/app/api"
)

// stream sends events to a caller until the caller or the process goes away, or the caller loses
// the role. Events that the caller is too slow for are lost in the Feed, which counts them; none
// are stored here.
func stream[F any](s *Server, parse func(*http.Request) (F, error), open func(context.Context, F) (<-chan api.Event, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, f, err := asked(s, r, parse)
		if err != nil {
			s.fail(w, err)
			return
		}
		out := http.NewResponseController(w)
		if err := out.SetReadDeadline(time.Time{}); err != nil {
			s.fail(w, fmt.Errorf("connection: %w", err))
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		events, err := open(ctx, f)
		if err != nil {
			s.fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		if err := s.carry(ctx, w, out, who, events); err != nil {
			s.log.Debug("control: stream ended", "reason", err)
		}
	})
}

// carry writes the events as they come, each before its deadline. The first line tells the caller
// that from now on no event is missed.
func (s *Server) carry(ctx context.Context, w http.ResponseWriter, out *http.ResponseController, who *caller, events <-chan api.Event) error {
	send := func(b []byte) error {
		if err := out.SetWriteDeadline(time.Now().Add(s.bounds.write)); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		return out.Flush()
	}
	if err := send([]byte(": ready\n\n")); err != nil {
		return err
	}
	beat := time.NewTicker(s.bounds.beat)
	defer beat.Stop()
	var b bytes.Buffer
	for {
		b.Reset()
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if s.access.Load().role(who) < Reader {
				return errForbidden
			}
			b.WriteString(": beat\n\n")
		case e, ok := <-events:
			if !ok {
				return nil
			}
			if err := appendEvent(&b, &e); err != nil {
				return err
			}
		}
		if err := send(b.Bytes()); err != nil {
			return err
		}
	}
}

// appendEvent writes an event as a server-sent event: its kind, then its JSON, which has no
// newline in it.
func appendEvent(b *bytes.Buffer, e *api.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	fmt.Fprintf(b, "event: %s\ndata: %s\n\n", e.Kind, data)
	return nil
}

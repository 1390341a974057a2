package control

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// audit records who changed what, or tried to (RFC 4778 section 2.2.2): in the log, or as one
// line of JSON in a file of its own. The file is only appended to, and it is opened for each
// record, so that it can be moved away at any time.
type audit struct {
	log *slog.Logger

	mu       sync.Mutex // guards all following fields
	path     string     // empty: records go to the log
	refused  *rate.Limiter
	unspoken int // refused attempts that were not written
}

func newAudit(path string, log *slog.Logger) (*audit, error) {
	a := &audit{log: log, refused: rate.NewLimiter(rate.Every(time.Second), 20)}
	return a, a.use(path)
}

// use changes the file. It first makes sure that the file can be written.
func (a *audit) use(path string) error {
	if path != "" {
		f, err := openAudit(path)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.path = path
	return nil
}

func openAudit(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640) // a pipe without a reader must not block us
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return f, nil
}

// record writes one deed or attempt. A nil err means success.
func (a *audit) record(deed string, who *caller, role CallerRole, err error, what ...slog.Attr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	outcome := "done"
	switch {
	case role != Operator:
		outcome = "refused"
		// A caller who may do nothing must not be able to fill the disk.
		if !a.refused.Allow() {
			a.unspoken++
			return
		}
	case err != nil:
		outcome = "failed"
	}
	attrs := append([]slog.Attr{slog.String("deed", deed), slog.String("outcome", outcome), slog.String("role", role.String())}, who.attrs()...)
	attrs = append(attrs, what...)
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	if a.unspoken > 0 {
		attrs = append(attrs, slog.Int("refused_before", a.unspoken))
		a.unspoken = 0
	}
	if a.path == "" {
		a.log.LogAttrs(context.Background(), slog.LevelInfo, "audit", attrs...)
		return
	}
	if err := a.append(attrs); err != nil {
		a.log.LogAttrs(context.Background(), slog.LevelError, "audit", append(attrs, slog.String("audit_error", err.Error()))...)
	}
}

// append writes one record to the file. The caller holds mu.
func (a *audit) append(attrs []slog.Attr) error {
	f, err := openAudit(a.path)
	if err != nil {
		return err
	}
	var failed error
	w := writerFunc(func(b []byte) (int, error) {
		var n int
		n, failed = f.Write(b) // slog drops the error of its writer
		return n, failed
	})
	slog.New(slog.NewJSONHandler(w, nil)).LogAttrs(context.Background(), slog.LevelInfo, "audit", attrs...)
	if err := f.Close(); failed == nil {
		failed = err
	}
	if failed != nil {
		return fmt.Errorf("audit log: %w", failed)
	}
	return nil
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

var _ io.Writer = writerFunc(nil)

// attrs tell the audit log who the caller is.
func (c *caller) attrs() []slog.Attr {
	if c.cert != nil {
		return []slog.Attr{
			slog.String("user", c.name),
			slog.String("certificate", fmt.Sprintf("%x", c.cert.SerialNumber)),
			slog.String("issuer", c.cert.Issuer.String()),
		}
	}
	return []slog.Attr{
		slog.String("user", c.name),
		slog.Uint64("uid", uint64(c.uid)),
		slog.Int64("pid", int64(c.pid)),
		slog.String("process", c.process),
	}
}

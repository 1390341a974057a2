package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
)

// maxBody bounds the body of a request.
const maxBody = 64 << 10

// Route is one path of the control interface.
type Route struct {
	Shape
	handler func(*Server) http.Handler
}

// Shape is what a route takes and what it answers, as types of package api. A GET has the fields
// of Asks in its query; a POST has Asks as its body.
type Shape struct {
	Method, Path  string
	Asks, Answers reflect.Type
	Streams       bool // the route answers with a stream of events, each of them an Answers
}

func shape[F, T any](method, path string) Shape {
	return Shape{Method: method, Path: path, Asks: reflect.TypeFor[F](), Answers: reflect.TypeFor[T]()}
}

// Look is a route for a request that takes no argument and changes nothing.
func Look[T any](path string, ask func(context.Context) (T, error)) Route {
	return get(path, noFilter, func(ctx context.Context, _ struct{}) (T, error) { return ask(ctx) })
}

func get[F, T any](path string, parse func(*http.Request) (F, error), ask func(context.Context, F) (T, error)) Route {
	return Route{shape[F, T](http.MethodGet, path), func(s *Server) http.Handler { return query(s, parse, ask) }}
}

func follow[F any](path string, parse func(*http.Request) (F, error), open func(context.Context, F) (<-chan api.Event, error)) Route {
	of := shape[F, api.Event](http.MethodGet, path)
	of.Streams = true
	return Route{of, func(s *Server) http.Handler { return stream(s, parse, open) }}
}

// Change is a path by which an operator has something done. who names the caller for the log.
func Change[R request, T any](name string, do func(context.Context, R, string) (T, error)) Route {
	return Route{shape[R, T](http.MethodPost, "/v1/"+name), func(s *Server) http.Handler { return deed(s, name, do) }}
}

// Status is the path of the status of a process.
func Status(ask func(context.Context) (api.Status, error)) Route {
	return Look("/v1/status", func(ctx context.Context) (api.Status, error) {
		status, err := ask(ctx)
		return wholeStatus(status), err
	})
}

// wholeStatus replaces nil lists and maps by empty ones, because JSON would say null: not every
// role fills in all of them.
func wholeStatus(s api.Status) api.Status {
	s.Roles, _ = list(s.Roles, nil)
	s.Peers, _ = list(s.Peers, nil)
	if s.Refusals == nil {
		s.Refusals = make(map[string]uint64)
	}
	s.Unmatched, _ = list(s.Unmatched, nil)
	s.Limits, _ = list(s.Limits, nil)
	s.Spoofed, _ = list(s.Spoofed, nil)
	s.ForeignRoutes, _ = list(s.ForeignRoutes, nil)
	s.RefusedGrants, _ = list(s.RefusedGrants, nil)
	s.Degraded, _ = list(s.Degraded, nil)
	return s
}

// Peers is the path of the peers of all roles.
func Peers(ask func(context.Context) ([]api.Peer, error)) Route {
	return Look("/v1/peers", whole(ask))
}

// Relays is the path of the relay agents that the DHCPv6 server has heard.
func Relays(ask func(context.Context) ([]api.RelayAgent, error)) Route {
	return Look("/v1/relays", whole(ask))
}

// Reservations is the path of what was reserved at the DHCPv6 server at run time.
func Reservations(ask func(context.Context) ([]api.ReservationAtRunTime, error)) Route {
	return Look("/v1/reservations", whole(ask))
}

// Process are the paths about the process itself, whatever roles it plays.
func Process(b ProcessBackend) []Route {
	return []Route{
		follow("/v1/watch", parseFilter, b.Watch),
		reload(b.Reload),
	}
}

// Relay are the paths of the DHCPv6 relay alone.
func Relay(b Backend) []Route {
	return []Route{
		Look("/v1/links", whole(b.Links)),
		Look("/v1/blocks", whole(b.Blocks)),
		Held("/v1/delegations", b.Delegations),
		Change("unblock", func(ctx context.Context, what api.Block, who string) (struct{}, error) {
			return struct{}{}, b.Unblock(ctx, what, who)
		}),
	}
}

// Held is the path of what clients hold, as one role knows it.
func Held(path string, ask func(context.Context, api.Filter) ([]api.Delegation, error)) Route {
	return get(path, parseFilter, func(ctx context.Context, f api.Filter) ([]api.Delegation, error) { return list(ask(ctx, f)) })
}

// Why is the path by which the DHCPv6 server explains what it decides.
func Why(ask func(context.Context, api.WhyQuestion) ([]api.WhyLink, error)) Route {
	return get("/v1/why", parseWhy, ask)
}

// OfBindings are the paths of what clients hold, as all roles know it.
func OfBindings(b Bindings) []Route {
	return []Route{
		get("/v1/history", parseHistoryFilter, func(ctx context.Context, f api.HistoryFilter) ([]api.HistoryEntry, error) {
			return list(b.History(ctx, f))
		}),
		follow("/v1/trace", parseTraceFilter, b.Trace),
		Change("clear", b.Clear),
	}
}

// whole is ask, with an empty list in place of nil.
func whole[T any](ask func(context.Context) ([]T, error)) func(context.Context) ([]T, error) {
	return func(ctx context.Context) ([]T, error) { return list(ask(ctx)) }
}

func reload(do func(context.Context, api.ReloadRequest, string) (api.ReloadResult, error)) Route {
	return Change("reload", func(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error) {
		result, err := do(ctx, r, who)
		return wholeReload(result), err
	})
}

// wholeReload replaces nil lists by empty ones, because JSON would say null.
func wholeReload(r api.ReloadResult) api.ReloadResult {
	r.Peers, _ = list(r.Peers, nil)
	r.Links, _ = list(r.Links, nil)
	r.Settings, _ = list(r.Settings, nil)
	r.Unmatched, _ = list(r.Unmatched, nil)
	r.Warnings, _ = list(r.Warnings, nil)
	return r
}

// bounded answers by the routes, refuses requests that no route takes, and bounds all bodies.
func (s *Server) bounded() http.Handler {
	mux := http.NewServeMux()
	there := make(map[string]bool, len(s.routes))
	for _, r := range s.routes {
		pattern := r.Method + " " + r.Path
		if !there[pattern] {
			mux.Handle(pattern, r.handler(s))
		}
		there[pattern] = true
	}
	const rest = "/"
	mux.HandleFunc(rest, func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != rest {
				allowed = append(allowed, method)
			}
		}
		if allowed == nil {
			s.fail(w, fmt.Errorf("%w: no such path: %s: no role that is played has it", ErrNotFound, r.URL.Path))
			return
		}
		// RFC 9110 section 15.5.6: "The origin server MUST generate an Allow header
		// field in a 405 response".
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.fail(w, fmt.Errorf("%w: %s (%s)", errMethod, r.Method, strings.Join(allowed, ", ")))
	})
	return http.MaxBytesHandler(mux, maxBody)
}

// errMethod answers a request to a path that has only other methods.
var errMethod = errors.New("method not allowed")

// list replaces a nil list by an empty one, because JSON would say null.
func list[T any](values []T, err error) ([]T, error) {
	if values == nil {
		values = []T{}
	}
	return values, err
}

// query answers a request that changes nothing.
func query[F, T any](s *Server, parse func(*http.Request) (F, error), ask func(context.Context, F) (T, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, f, err := asked(s, r, parse)
		if err != nil {
			s.fail(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.bounds.answer)
		defer cancel()
		answer, err := ask(ctx, f)
		if err != nil {
			s.fail(w, err)
			return
		}
		s.answer(w, http.StatusOK, answer)
	})
}

// asked returns the caller, who must be a reader at least, and what the request asks.
func asked[F any](s *Server, r *http.Request, parse func(*http.Request) (F, error)) (who *caller, f F, err error) {
	if who, err = s.admit(r, Reader); err == nil {
		f, err = parse(r)
	}
	return who, f, err
}

// request is the body of a deed.
type request interface {
	Check() error
	Attrs() []slog.Attr
}

// deed carries out a request that changes something, and records it in the audit log.
func deed[R request, T any](s *Server, name string, do func(context.Context, R, string) (T, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.admit(r, Operator)
		if err != nil {
			if who != nil {
				s.audit.record(name, who, s.access.Load().role(who), err)
			}
			s.fail(w, err)
			return
		}
		var req R
		err = s.body(w, r, &req)
		if err == nil {
			if err = req.Check(); err != nil {
				err = fmt.Errorf("%w: %w", ErrInvalid, err)
			}
		}
		if err != nil {
			s.fail(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.bounds.deed)
		defer cancel()
		answer, err := do(ctx, req, who.String())
		what := req.Attrs()
		if result, ok := any(answer).(interface{ Attrs() []slog.Attr }); ok && err == nil {
			what = append(what, result.Attrs()...)
		}
		s.audit.record(name, who, Operator, err, what...)
		if err != nil {
			s.fail(w, err)
			return
		}
		s.answer(w, http.StatusOK, answer)
	})
}

// errForbidden answers a caller who is known and is not permitted to do this.
var errForbidden = errors.New("not permitted")

// admit returns the caller. The error says that the caller does not have the role that is needed.
func (s *Server) admit(r *http.Request, needs CallerRole) (*caller, error) {
	who, err := callerOf(r)
	if err != nil {
		return nil, err
	}
	switch role := s.access.Load().role(who); {
	case role >= needs:
		return who, nil
	case role == Refused:
		return who, fmt.Errorf("%w: %s is among neither control.operators nor control.readers", errForbidden, who)
	default:
		return who, fmt.Errorf("%w: %s may look, but is not among control.operators", errForbidden, who)
	}
}

// body reads the JSON of a deed, and refuses unknown fields and further text.
func (s *Server) body(w http.ResponseWriter, r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fmt.Errorf("%w: the body must be application/json", ErrInvalid)
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: body: %w", ErrInvalid, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: body: more than one value", ErrInvalid)
	}
	// The request has been read. From here on only a connection that is reset ends its context.
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("connection: %w", err)
	}
	return nil
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	f := api.Failure{Text: err.Error()}
	var problems config.Problems
	if errors.As(err, &problems) {
		f.Text = "the configuration has problems"
		for _, p := range problems {
			f.Problems = append(f.Problems, p.String())
		}
	}
	var loss *api.LossError
	if errors.As(err, &loss) {
		f.Lost = loss.Links
	}
	s.answer(w, statusCode(err), f)
}

func statusCode(err error) int {
	var tooLarge *http.MaxBytesError
	var problems config.Problems
	var loss *api.LossError
	switch {
	case errors.As(err, &loss):
		return http.StatusConflict
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &problems):
		return http.StatusUnprocessableEntity
	case errors.Is(err, errForbidden):
		return http.StatusForbidden
	case errors.Is(err, ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrBusy):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// answer writes a value. A caller that does not read it in time is cut off.
func (s *Server) answer(w http.ResponseWriter, code int, value any) {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.bounds.write)); err != nil {
		s.log.Debug("control: answer", "reason", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.log.Debug("control: answer not taken", "reason", err)
	}
}

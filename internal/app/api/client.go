package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Client speaks with a running Fairlead over its Unix socket. An error is a *RemoteError where
// Fairlead itself refused; other errors say why it could not be asked.
type Client struct {
	socket  string
	program string // the program at the other end, for errors
	http    http.Client
}

// NewClient makes a client; it connects with the first request.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, program: "fairlead", http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// RemoteError says why Fairlead did not do what it was asked.
type RemoteError struct {
	Code int // HTTP status
	Failure
}

func (e *RemoteError) Error() string {
	return strings.Join(append([]string{e.Text}, e.Problems...), "\n")
}

// Status asks for the status of the process.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "status", nil)
}

// Links asks for all interfaces of the host.
func (c *Client) Links(ctx context.Context) ([]Link, error) {
	return get[[]Link](ctx, c, "links", nil)
}

// Peers asks for all configured servers and relays.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	return get[[]Peer](ctx, c, "peers", nil)
}

// Delegations asks for the live delegations that f selects.
func (c *Client) Delegations(ctx context.Context, f Filter) ([]Delegation, error) {
	return get[[]Delegation](ctx, c, "delegations", f.query())
}

// Leases asks for the live leases of DHCPv4 that f selects.
func (c *Client) Leases(ctx context.Context, f Filter) ([]Delegation, error) {
	return get[[]Delegation](ctx, c, "leases", f.query())
}

// History asks who had what and when, the latest first.
func (c *Client) History(ctx context.Context, f HistoryFilter) ([]HistoryEntry, error) {
	q := f.query()
	if !f.From.IsZero() {
		q.Set("from", f.From.Format(time.RFC3339))
	}
	if !f.To.IsZero() {
		q.Set("to", f.To.Format(time.RFC3339))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return get[[]HistoryEntry](ctx, c, "history", q)
}

// Clear ends bindings of clients.
func (c *Client) Clear(ctx context.Context, r ClearRequest) (ClearResult, error) {
	return post[ClearResult](ctx, c, "clear", r)
}

// AskBack has clients of the DHCPv6 server come back.
func (c *Client) AskBack(ctx context.Context, r ReconfigureRequest) (ReconfigureResult, error) {
	return post[ReconfigureResult](ctx, c, "reconfigure", r)
}

// Reserve has a reservation of the DHCPv6 server made or ended.
func (c *Client) Reserve(ctx context.Context, r ReserveRequest) (ReservationAtRunTime, error) {
	return post[ReservationAtRunTime](ctx, c, "reserve", r)
}

// Why asks what the DHCPv6 server decides on a client, and why.
func (c *Client) Why(ctx context.Context, of WhyQuestion) ([]WhyLink, error) {
	q := Filter{Client: of.Client, Link: of.Link, Prefix: of.Prefix}.query()
	if of.LinkAddress.IsValid() {
		q.Set("link_address", of.LinkAddress.String())
	}
	if of.Class != "" {
		q.Set("class", of.Class)
	}
	return get[[]WhyLink](ctx, c, "why", q)
}

// Unblock takes a block away.
func (c *Client) Unblock(ctx context.Context, b Block) error {
	_, err := post[struct{}](ctx, c, "unblock", b)
	return err
}

// Reload makes Fairlead read its configuration file again, and returns what that changes. A file
// with errors is a RemoteError with Problems. A file that takes the rule from links with
// delegations is a RemoteError with Lost.
func (c *Client) Reload(ctx context.Context, r ReloadRequest) (ReloadResult, error) {
	return post[ReloadResult](ctx, c, "reload", r)
}

func (f Filter) query() url.Values {
	q := make(url.Values)
	if f.Client != "" {
		q.Set("client", f.Client.String())
	}
	if f.Prefix.IsValid() {
		q.Set("prefix", f.Prefix.String())
	}
	if f.Link != "" {
		q.Set("link", f.Link)
	}
	return q
}

func (f TraceFilter) query() url.Values { return Filter{Client: f.Client, Link: f.Link}.query() }

// Get asks for the answer of a path of a role, such as "links". The path is below /v1.
func Get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return get[T](ctx, c, path, nil)
}

func get[T any](ctx context.Context, c *Client, path string, q url.Values) (T, error) {
	return ask[T](ctx, c, http.MethodGet, path, q, nil)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (answer T, err error) {
	b, err := json.Marshal(body)
	if err != nil {
		return answer, fmt.Errorf("request: %w", err)
	}
	return ask[T](ctx, c, http.MethodPost, path, nil, b)
}

func ask[T any](ctx context.Context, c *Client, method, path string, q url.Values, body []byte) (answer T, err error) {
	r, err := c.do(ctx, method, path, q, body)
	if err != nil {
		return answer, err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("answer of fairlead: %w", err)
	}
	return answer, nil
}

// do sends a request, and returns the answer if it is a success. The caller closes the body.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body []byte) (*http.Response, error) {
	target := url.URL{Scheme: "http", Host: "fairlead", Path: "/v1/" + path, RawQuery: q.Encode()}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.explain(err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		return nil, remoteError(answer)
	}
	return answer, nil
}

func remoteError(r *http.Response) error {
	e := &RemoteError{Code: r.StatusCode}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&e.Failure); err != nil || e.Text == "" {
		e.Failure = Failure{Text: "fairlead answered " + r.Status}
	}
	return e
}

// explain says what it means that the socket could not be used. The address that net/http would
// show tells an operator nothing.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: %s does not run here, or listens elsewhere (--socket): %w", c.socket, c.program, innermost(err))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: only root and the socket's group can connect: %w", c.socket, innermost(err))
	}
	return fmt.Errorf("%s: %w", c.socket, unwrapURL(err))
}

func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// innermost is the error of the system call.
func innermost(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// Failure is the answer to a request that was not carried out.
type Failure struct {
	Text     string   `json:"error"`
	Problems []string `json:"problems,omitempty"` // problems of a configuration, one in each line
	// Lost are the links with delegations that would lose their rule.
	Lost []LinkHoldings `json:"lost,omitempty"`
}

package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
	"fairlead/internal/lab/labtest"
)

// values compares values that have an equality of their own. A list that is absent comes out of
// JSON as an empty one.
var values = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// served is a running server over a fake relay.
type served struct {
	*control.Server
	*api.Client
	config *config.Config
	fake   *controltest.Fake
	log    *labtest.Log
}

// openDir is a temporary folder that other users can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve runs a server until the test ends. tune may change the configuration, and before may
// change the server before it runs.
func serve(t *testing.T, tune func(*config.Config), before func(*control.Server)) *served {
	t.Helper()
	s := &served{config: config.Default(), fake: controltest.New(), log: new(labtest.Log)}
	s.config.Control.Socket = filepath.Join(openDir(t), "c.sock")
	s.config.Control.Group = "0"
	if tune != nil {
		tune(s.config)
	}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if s.Server, err = control.Listen(&s.config.Process, s.fake.Routes(), log); err != nil {
		t.Fatal(err)
	}
	if before != nil {
		before(s.Server)
	}
	labtest.Run(t, s.Run)
	s.Client = api.NewClient(s.config.Control.Socket)
	return s
}

// raw is an HTTP client that can send any request.
func (s *served) raw() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.config.Control.Socket)
		},
	}}
}

// within is a context that ends long after each of these tests should have ended.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	t.Cleanup(cancel)
	return ctx
}

func TestQueries(t *testing.T) {
	s := serve(t, nil, nil)
	ctx := within(t)
	sample := controltest.New()
	compare := func(name string, want, got any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	status, err := s.Status(ctx)
	compare("status", sample.Overview, status, err)
	links, err := s.Links(ctx)
	compare("links", sample.LinkList, links, err)
	peers, err := s.Peers(ctx)
	compare("peers", sample.PeerList, peers, err)
	blocks, err := api.Get[[]api.Block](ctx, s.Client, "blocks")
	compare("blocks", sample.Blocked, blocks, err)

	all := sample.Live
	selections := []struct {
		name   string
		filter api.Filter
		want   []api.Delegation
	}{
		{"no filter", api.Filter{}, all},
		{"client", api.Filter{Client: controltest.Bob}, all[2:]},
		{"link", api.Filter{Link: "br-cust7"}, all[:2]},
		{"prefix around", api.Filter{Prefix: netip.MustParsePrefix("2001:db8:4000::/34")}, []api.Delegation{all[0], all[1], all[2]}},
		{"prefix inside", api.Filter{Prefix: netip.MustParsePrefix("2001:db8:4000:12::5/128")}, all[:1]},
		{"client and link that do not meet", api.Filter{Client: controltest.Bob, Link: "br-cust7"}, []api.Delegation{}},
	}
	for _, tt := range selections {
		got, err := s.Delegations(ctx, tt.filter)
		compare("delegations, "+tt.name, tt.want, got, err)
	}

	h := sample.Past
	periods := []struct {
		name   string
		filter api.HistoryFilter
		want   []api.HistoryEntry
	}{
		{"all", api.HistoryFilter{}, h},
		{"since the start", api.HistoryFilter{From: controltest.Start}, h[:1]},
		{"before the start", api.HistoryFilter{To: controltest.Start}, h[1:]},
		{"one", api.HistoryFilter{Limit: 1}, h[:1]},
		{"of a client", api.HistoryFilter{Filter: api.Filter{Client: controltest.Alice}}, h[:1]},
	}
	for _, tt := range periods {
		got, err := s.History(ctx, tt.filter)
		compare("history, "+tt.name, tt.want, got, err)
	}
}

// The text on the wire is an interface: other programs parse it.
func TestWire(t *testing.T) {
	s := serve(t, nil, nil)
	r, err := s.raw().Get("http://x/v1/delegations?prefix=2001:db8:4100::/56")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"prefix":"2001:db8:4100::/56","kind":"prefix","link":"br-cust7","client":"00:03:00:01:02:00:5e:10:00:01","iaid":4294967295,` +
		`"next_hop":"fe80::5eff:fe10:1","link_layer":"02:00:5e:10:00:01","preferred":"infinite","valid":"infinite","lifetime":"infinite",` +
		`"server":"kea1","source":"store","granted":"2026-03-04T05:06:07Z","changed":"2026-03-04T05:06:07Z"}]` + "\n"
	if string(got) != want {
		t.Errorf("answer:\n got %s\nwant %s", got, want)
	}
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type: %q", kind)
	}
}

func TestDeeds(t *testing.T) {
	s := serve(t, nil, nil)
	ctx := within(t)
	result, err := s.Clear(ctx, api.ClearRequest{Client: controltest.Alice, Link: "br-cust7", Block: true})
	if want := (api.ClearResult{Cleared: 2, Blocked: true}); err != nil || result != want {
		t.Errorf("clear: %+v, %v, want %+v", result, err, want)
	}
	if n := len(s.fake.Live); n != 1 {
		t.Errorf("after clear: %d delegations, want 1", n)
	}
	block := api.Block{Client: controltest.Alice, Link: "br-cust7"}
	if err := s.Unblock(ctx, block); err != nil {
		t.Errorf("unblock: %v", err)
	}
	wantCode(t, "unblock again", s.Unblock(ctx, block), http.StatusNotFound, "not found")
	reload := api.ReloadRequest{}
	if _, err := s.Reload(ctx, reload); err != nil {
		t.Errorf("reload: %v", err)
	}
	s.fake.ReloadErr = fmt.Errorf("reload: %w", config.Problems{
		{File: "f.yaml", Line: 3, Column: 9, Path: "peers", Text: "missing"}, {File: "f.yaml", Line: 7, Column: 1, Text: "a tab"},
	})
	_, err = s.Reload(ctx, reload)
	wantCode(t, "reload with problems", err, http.StatusUnprocessableEntity, "the configuration has problems")
	var remote *api.RemoteError
	if errors.As(err, &remote) {
		want := []string{"f.yaml:3:9: peers: missing", "f.yaml:7:1: a tab"}
		if diff := cmp.Diff(want, remote.Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
	}
	who := fmt.Sprintf("root (uid 0, pid %d, ", os.Getpid())
	for i, deed := range []string{"clear", "unblock", "unblock", "reload", "reload"} {
		if want := deed + " by " + who; i >= len(s.fake.Deeds) || !strings.HasPrefix(s.fake.Deeds[i], want) {
			t.Errorf("deeds: %q, want number %d to begin with %q", s.fake.Deeds, i, want)
		}
	}
}

// wantCode checks that Fairlead itself refused, with this code and text.
func wantCode(t *testing.T, what string, err error, code int, text string) {
	t.Helper()
	var remote *api.RemoteError
	if !errors.As(err, &remote) || remote.Code != code || !strings.Contains(remote.Text, text) {
		t.Errorf("%s: err = %v, want code %d with %q", what, err, code, text)
	}
}

func TestRefusedRequests(t *testing.T) {
	s := serve(t, nil, nil)
	json := "application/json"
	tests := []struct {
		name, method, path, kind, body string
		code                           int
		text                           string
	}{
		{"unknown path", "GET", "/v1/prefixes", "", "", 404, "no such path"},
		{"no version", "GET", "/status", "", "", 404, "no such path"},
		{"another method", "POST", "/v1/status", json, "{}", 405, "method not allowed: POST (GET, HEAD)"},
		{"a deed asked for", "GET", "/v1/reload", "", "", 405, "method not allowed: GET (POST)"},
		{"a deed taken back", "DELETE", "/v1/clear", "", "", 405, "method not allowed: DELETE (POST)"},
		{"another method of no path", "DELETE", "/v1/prefixes", "", "", 404, "no such path"},
		{"unknown parameter", "GET", "/v1/links?all=1", "", "", 400, "unknown here"},
		{"a parameter twice", "GET", "/v1/delegations?link=a&link=b", "", "", 400, "there twice"},
		{"a query that is none", "GET", "/v1/delegations?link=%zz", "", "", 400, "query"},
		{"client that is no identifier", "GET", "/v1/delegations?client=0xyz", "", "", 400, "client: identifier"},
		{"IPv4 in IPv6", "GET", "/v1/delegations?prefix=::ffff:10.0.0.1", "", "", 400, "form of IPv6 (10.0.0.1?)"},
		{"host bits", "GET", "/v1/delegations?prefix=2001:db8::1/32", "", "", 400, "bits are set"},
		{"time", "GET", "/v1/history?from=yesterday", "", "", 400, "from:"},
		{"limit", "GET", "/v1/history?limit=10001", "", "", 400, "limit:"},
		{"limit of none", "GET", "/v1/history?limit=0", "", "", 400, "limit:"},
		{"trace of nothing", "GET", "/v1/trace", "", "", 400, "a client or a link"},
		{"trace of both", "GET", "/v1/trace?link=a&client=00:01:02", "", "", 400, "a client or a link"},
		{"form", "POST", "/v1/clear", "application/x-www-form-urlencoded", "all=true", 400, "application/json"},
		{"no type", "POST", "/v1/clear", "", `{"all":true}`, 400, "application/json"},
		{"not JSON", "POST", "/v1/clear", json, "all", 400, "body"},
		{"unknown field", "POST", "/v1/clear", json, `{"al":true}`, 400, "unknown field"},
		{"two values", "POST", "/v1/clear", json, `{"all":true}{}`, 400, "more than one"},
		{"clear of nothing", "POST", "/v1/clear", json, `{}`, 400, "clear needs"},
		{"clear of all and one", "POST", "/v1/clear", json, `{"all":true,"link":"a"}`, 400, "nothing else"},
		{"all blocked", "POST", "/v1/clear", json, `{"all":true,"block":true}`, 400, "cannot be blocked"},
		{"a lease blocked", "POST", "/v1/clear", json, `{"prefix":"192.0.2.7/32","block":true}`, 400, "leases of DHCPv4 cannot be blocked"},
		{"clear with host bits", "POST", "/v1/clear", json, `{"prefix":"2001:db8::1/32"}`, 400, "bits are set"},
		{"unblock of nothing", "POST", "/v1/unblock", json, `{}`, 400, "unblock needs"},
		{"body too large", "POST", "/v1/clear", json, `{"link":"` + strings.Repeat("x", control.MaxBody) + `"}`, 413, "too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(within(t), tt.method, "http://x"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.kind != "" {
				r.Header.Set("Content-Type", tt.kind)
			}
			answer, err := s.raw().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tt.code || !strings.Contains(string(body), tt.text) {
				t.Errorf("%s %s: %d %s, want %d with %q", tt.method, tt.path, answer.StatusCode, body, tt.code, tt.text)
			}
		})
	}
	if len(s.fake.Deeds) > 0 || len(s.fake.Live) != 3 {
		t.Errorf("a refused request did something: %q, %d delegations", s.fake.Deeds, len(s.fake.Live))
	}
}

func TestBackendErrors(t *testing.T) {
	s := serve(t, nil, nil)
	for _, tt := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("trace: %w", control.ErrBusy), http.StatusServiceUnavailable},
		{fmt.Errorf("x: %w", control.ErrInvalid), http.StatusBadRequest},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), http.StatusGatewayTimeout},
		{errors.New("the store is gone"), http.StatusInternalServerError},
	} {
		s.fake.Mu.Lock()
		s.fake.Fail = tt.err
		s.fake.Mu.Unlock()
		_, err := s.Status(within(t))
		wantCode(t, "status", err, tt.code, tt.err.Error())
	}
}

func TestNobodyListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.sock")
	_, err := api.NewClient(path).Status(within(t))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path+": fairlead does not run here") {
		t.Errorf("no socket: err = %v, want one that names it and says what to do", err)
	}
}

// RFC 9110 section 15.5.6: a 405 names the methods that are allowed.
func TestAllowedMethods(t *testing.T) {
	s := serve(t, nil, nil)
	g := serveGuard(t, nil)
	for _, c := range []struct{ socket, method, path, allow string }{
		{s.config.Control.Socket, "POST", "/v1/links", "GET, HEAD"},
		{s.config.Control.Socket, "DELETE", "/v1/delegations", "GET, HEAD"},
		{s.config.Control.Socket, "GET", "/v1/reload", "POST"},
		{g.config.Control.Socket, "PUT", "/v1/reload", "POST"},
		{g.config.Control.Socket, "POST", "/v1/status", "GET, HEAD"},
	} {
		client := http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", c.socket)
			},
		}}
		r, err := http.NewRequestWithContext(within(t), c.method, "http://x"+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if got := answer.Header.Get("Allow"); answer.StatusCode != http.StatusMethodNotAllowed || got != c.allow {
			t.Errorf("%s %s: %d, Allow %q; want 405 and %q", c.method, c.path, answer.StatusCode, got, c.allow)
		}
	}
}

package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
	"fairlead/internal/lab/labtest"
)

// servedGuard is a running server over a fake guard.
type servedGuard struct {
	*control.Server
	*api.Client
	config config.Process
	fake   *controltest.FakeGuard
	log    *labtest.Log
}

func serveGuard(t *testing.T, tune func(*servedGuard)) *servedGuard {
	t.Helper()
	s := &servedGuard{fake: controltest.NewGuard(), log: new(labtest.Log)}
	s.config.Control.Socket, s.config.Control.Group = filepath.Join(openDir(t), "g.sock"), "0"
	if tune != nil {
		tune(s)
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	var err error
	if s.Server, err = control.Listen(&s.config, s.fake.Routes(), log); err != nil {
		t.Fatal(err)
	}
	labtest.Run(t, s.Run)
	s.Client = api.NewGuardClient(s.config.Control.Socket)
	return s
}

// askRaw sends a request over a socket, and returns the code and the body of the answer.
func askRaw(t *testing.T, socket, method, path string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	r, err := http.NewRequestWithContext(within(t), method, "http://x"+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func TestGuardStatus(t *testing.T) {
	s := serveGuard(t, nil)
	want := controltest.NewGuard().Overview
	want.Programs, want.Degraded = []api.Program{}, []string{}
	got, err := s.GuardStatus(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, values); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	s.fake.Mu.Lock()
	s.fake.Overview.Programs = []api.Program{{PID: 812, Name: "dhcpd", Problem: "reads a packet socket"}}
	s.fake.Overview.Peers = nil
	s.fake.Mu.Unlock()
	_, text := askRaw(t, s.config.Control.Socket, "GET", "/v1/status")
	for _, part := range []string{
		`"peers":[],"strangers":{"packets":5,"bytes":1500}`,
		`"programs":[{"pid":812,"name":"dhcpd","problem":"reads a packet socket"}],"degraded":[]`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("status lacks %s:\n%s", part, text)
		}
	}
}

// A guard has none of the relay's paths, and only operators may change anything.
func TestGuardPaths(t *testing.T) {
	s := serveGuard(t, nil)
	for _, path := range []string{"GET /v1/links", "GET /v1/peers", "GET /v1/delegations", "GET /v1/trace", "POST /v1/clear", "POST /v1/unblock"} {
		method, path, _ := strings.Cut(path, " ")
		if code, text := askRaw(t, s.config.Control.Socket, method, path); code != http.StatusNotFound || !strings.Contains(text, "no such path") {
			t.Errorf("%s %s: %d %s, want 404", method, path, code, text)
		}
	}
	if code, text := askRaw(t, s.config.Control.Socket, "GET", "/v1/status?all=1"); code != http.StatusBadRequest {
		t.Errorf("status with a parameter: %d %s, want 400", code, text)
	}
}

func TestGuardRoles(t *testing.T) {
	s := serveGuard(t, func(s *servedGuard) {
		s.config.Control.Group, s.config.Control.Readers = fmt.Sprint(socketGroup), numbers(20002)
		s.config.Audit.File = filepath.Join(filepath.Dir(s.config.Control.Socket), "audit.log")
	})
	for _, tt := range []struct {
		name       string
		who        account
		look, deed string
	}{
		{"reader", account{20002, []uint32{socketGroup}}, "done", "may look, but is not among control.operators"},
		{"stranger", account{20009, []uint32{socketGroup}}, "is among neither", "is among neither"},
		{"root", account{0, []uint32{0}}, "done", "done"},
	} {
		for deed, want := range map[string]string{"look": tt.look, "watch": tt.look, "reload": tt.deed} {
			if got, _ := doAs(t, tt.who, deed, s.config.Control.Socket); !strings.Contains(got, want) {
				t.Errorf("%s, %s: %q, want %q", tt.name, deed, got, want)
			}
		}
	}
	if len(s.fake.Deeds) != 1 || !strings.HasPrefix(s.fake.Deeds[0], "reload by root (uid 0, ") {
		t.Errorf("deeds: %q, want root's reload alone", s.fake.Deeds)
	}
	var outcomes []string
	for _, l := range readAudit(t, s.config.Audit.File) {
		outcomes = append(outcomes, l.Deed+" "+l.Outcome)
	}
	if diff := cmp.Diff([]string{"reload refused", "reload refused", "reload done"}, outcomes); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	next := s.config
	next.Control.Operators = numbers(20002)
	if err := s.Reconfigure(&next); err != nil {
		t.Fatal(err)
	}
	if got, _ := doAs(t, account{20002, []uint32{socketGroup}}, "reload", s.config.Control.Socket); got != "done" {
		t.Errorf("reload by an operator since now: %q, want done", got)
	}
}

func TestGuardReload(t *testing.T) {
	s := serveGuard(t, nil)
	if _, err := s.Reload(within(t), api.ReloadRequest{}); err != nil {
		t.Errorf("reload: %v", err)
	}
	s.fake.ReloadErr = config.Problems{{File: "g.yaml", Line: 3, Column: 9, Path: "peers", Text: "missing"}}
	_, err := s.Reload(within(t), api.ReloadRequest{})
	wantCode(t, "reload with problems", err, http.StatusUnprocessableEntity, "the configuration has problems")
	if !strings.Contains(err.Error(), "g.yaml:3:9: peers: missing") {
		t.Errorf("reload: err = %v, want one with the problem", err)
	}
}

func TestGuardWatch(t *testing.T) {
	s := serveGuard(t, nil)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	stream, err := s.Watch(ctx, api.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	want := api.Event{Time: wall, Kind: api.EventProtection, Text: "protection lost", Peer: "attic", Hop: "attic+1", Reason: "no SA"}
	s.fake.Feed.Offer(want)
	for got, err := range stream {
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, values); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
		break
	}
}

func TestNoGuardListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.sock")
	_, err := api.NewGuardClient(path).GuardStatus(within(t))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path+": fairlead guard does not run here") {
		t.Errorf("no socket: err = %v, want one that names it and the guard", err)
	}
}

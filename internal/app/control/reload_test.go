package control_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
)

// The caller gets all that a reload changes, or would change. A reload that takes the rule from
// links with delegations is refused with the names of the links, unless it is forced.
func TestReloadAnswers(t *testing.T) {
	s := serve(t, nil, nil)
	ctx := within(t)
	want := api.ReloadResult{
		Reloaded:  true,
		Peers:     []api.PeerChange{{Peer: "kea2", Change: "added"}},
		Links:     []api.LinkChange{{Role: "relay4", LinkHoldings: api.LinkHoldings{Link: "ppp7", Prefixes: 2}, Change: api.LinkChanged, Keys: []api.KeyChange{{Key: "limits.client", Old: "8", New: "1"}}}},
		Settings:  []string{"log"},
		Unmatched: []api.LinkHoldings{{Link: "ppp9", Prefixes: 1, Addresses: 1}},
		Warnings:  []string{"f.yaml:1:2: a warning"},
	}
	s.fake.Reloaded = want
	got, err := s.Reload(ctx, api.ReloadRequest{})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("reload: %v (-want +got)\n%s", err, diff)
	}
	lost := []api.LinkHoldings{{Link: "ppp7", Prefixes: 2}, {Link: "ppp8", Addresses: 1}}
	s.fake.ReloadErr = &api.LossError{Links: lost}
	_, err = s.Reload(ctx, api.ReloadRequest{})
	wantCode(t, "reload", err, http.StatusConflict, "ppp7 (2 prefixes), ppp8 (1 address)")
	var remote *api.RemoteError
	if errors.As(err, &remote) {
		if diff := cmp.Diff(lost, remote.Lost); diff != "" {
			t.Errorf("lost (-want +got)\n%s", diff)
		}
		if !strings.Contains(remote.Text, "fairlead reload --force") {
			t.Errorf("%q does not say how to go on", remote.Text)
		}
	}
	got, err = s.Reload(ctx, api.ReloadRequest{DryRun: true})
	if err != nil || got.Reloaded || !strings.Contains(got.Refused, "ppp7 (2 prefixes)") {
		t.Errorf("dry run: %+v, %v; want it to say what would be refused", got, err)
	}
	if got, err = s.Reload(ctx, api.ReloadRequest{Force: true}); err != nil || !got.Reloaded {
		t.Errorf("forced: %+v, %v", got, err)
	}
	_, err = s.Reload(ctx, api.ReloadRequest{Force: true, DryRun: true})
	wantCode(t, "both", err, http.StatusBadRequest, "dry_run and force")
}

package labtest

import (
	"encoding/json"
	"net/http"
	"testing"

	"fairlead/internal/lab/relay"
)

// Show runs a fairlead command with --json and reads what it prints.
func Show(t testing.TB, r *relay.Relay, into any, args ...string) {
	t.Helper()
	out, err := r.CLI(append(args, "--json")...)
	Need(t, err)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("fairlead %v --json: %v in %q", args, err, out)
	}
}

// Ask has the running relay answer a GET of its control API, such as
// "/v1/status".
func Ask(t testing.TB, r *relay.Relay, path string, into any) {
	t.Helper()
	code, body, err := r.Call(http.MethodGet, path, "")
	Need(t, err)
	if code != http.StatusOK {
		t.Fatalf("GET %s: %d: %s", path, code, body)
	}
	Need(t, json.Unmarshal(body, into))
}

// Counts are the counters of a link: messages by type, in and out, drops by
// reason, and grants that were not learned.
type Counts struct {
	Received  map[string]int
	Delivered map[string]int
	Drops     map[string]int
	Refused   int
}

// LinkCounts are the counters of one link, as `fairlead links` shows them.
func LinkCounts(t testing.TB, r *relay.Relay, link string) Counts {
	t.Helper()
	var shown struct{ Counters Counts }
	Show(t, r, &shown, "links", link)
	return shown.Counters
}

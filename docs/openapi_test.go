package docs

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
)

// openapi.json and openapi-guard.json describe the control interfaces as they are. With
// UPDATE=1 they are made what they should be, for review. A test of the whole program holds
// what it answers against them.
func TestOpenAPI(t *testing.T) {
	guard := controltest.NewGuard()
	for file, c := range map[string]struct {
		title  string
		routes []control.Route
	}{
		"openapi.json":       {"The control interface of fairlead run", controltest.New().Routes()},
		"openapi-guard.json": {"The control interface of fairlead guard", guard.Routes()},
	} {
		got, err := controltest.OpenAPI(c.title, c.routes, "../internal/app/api")
		if err != nil {
			t.Fatal(err)
		}
		if os.Getenv("UPDATE") == "1" {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got; UPDATE=1 writes it)\n%s", file, diff)
		}
	}
}

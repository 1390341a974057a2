package cli_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"fairlead/internal/app/cli"
)

// docs/load.md explains every flag of fairlead load.
func TestLoadGuide(t *testing.T) {
	guide, err := os.ReadFile("../../../docs/load.md")
	if err != nil {
		t.Fatal(err)
	}
	cmd, _, err := cli.New(cli.Commands{}).Find([]string{"load"})
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(cmd.Flags().FlagUsages(), -1)
	for _, name := range flags {
		if !strings.Contains(string(guide), name) {
			t.Errorf("docs/load.md does not explain %s", name)
		}
	}
	if len(flags) < 18 {
		t.Errorf("%d flags, which cannot be all", len(flags))
	}
}

package relays

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"fairlead/tools/bench/harness"
)

// The names of the two fairleads that are compared.
const (
	before = "before"
	after  = "after"
)

// versions returns the benches in which the program takes turns with that of another revision.
// There are no bars: benchstat says which differences are more than noise.
func (s *Suite) versions() ([]harness.Bench, error) {
	other := s.against
	if found, err := os.Stat(other); err != nil || found.IsDir() {
		if other, err = s.buildRevision(other); err != nil {
			return nil, err
		}
	}
	other, err := filepath.Abs(other)
	if err != nil {
		return nil, err
	}
	s.programs = map[string]string{before: other, after: s.Fairlead}
	six, four := s.relay6(), s.relay4()
	benches := []harness.Bench{six.contest(), six.memory(), six.restore(), six.grants(), four.contest()}
	for _, b := range benches {
		for i := range b.Bars {
			b.Bars[i].Judge = nil
		}
	}
	return benches, nil
}

// buildRevision builds the program of a revision as `make build/fairlead` does, with the same
// GOFLAGS.
func (s *Suite) buildRevision(revision string) (binary string, err error) {
	harness.Say("%s is built", revision)
	tree, binary := filepath.Join(s.Folder, "tree"), filepath.Join(s.Folder, before)
	if err := os.Mkdir(tree, 0o755); err != nil {
		return "", err
	}
	// The tree may belong to another user, and git would refuse to read it.
	build := `git -c safe.directory='*' archive "$1" | tar -x -C "$2" && go build -C "$2" -trimpath -buildvcs=false -ldflags '-s -w' -o "$3" ./cmd/fairlead`
	out, err := exec.Command("sh", "-c", build, "sh", revision, tree, binary).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", revision, err, out)
	}
	return binary, nil
}

// renamed returns a configuration in which keys have other names. keys is a list of NEW=OLD,
// separated by commas.
func renamed(text, keys string) string {
	for _, pair := range harness.Words(keys) {
		if new, old, ok := strings.Cut(pair, "="); ok {
			text = strings.ReplaceAll(text, " "+new+":", " "+old+":")
		}
	}
	return text
}

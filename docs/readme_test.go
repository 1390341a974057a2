package docs

import (
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/app/config"
)

// The first example of the README is minimal.yaml without its comments, and has both relays.
func TestFirstExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example := fenced.FindStringSubmatch(string(readme))
	if example == nil {
		t.Fatal("the README has no example")
	}
	c, err := config.Kinds{config.Relay6Kind(), config.Relay4Kind()}.Parse("example.yaml", []byte(example[1]))
	if err != nil {
		t.Fatal(err)
	}
	if c.Sections["relay6"] == nil || c.Sections["relay4"] == nil || len(c.Warnings) > 0 {
		t.Errorf("want both relays and no warnings: %v, %v", c.Sections, c.Warnings)
	}
	if got, want := statements(example[1]), statements(config.Minimal()); !slices.Equal(got, want) {
		t.Errorf("the README has\n%s\nand minimal.yaml\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// statements are the lines of a configuration without comments.
func statements(text string) (lines []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimRight(line, " \n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

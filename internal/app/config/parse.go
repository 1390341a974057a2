package config

import (
	"fmt"
	"io"
	"os"

	"fairlead/docs/reference"
)

// Parse reads a configuration from text; name stands for it in problems. The
// error is Problems, sorted by position.
func Parse(name string, text []byte) (*Config, error) {
	d := &decoder{file: name}
	c := d.config(text)
	if len(d.problems) == 0 {
		return c, nil
	}
	d.problems.sort()
	if d.omitted > 0 {
		d.problems = append(d.problems, Problem{File: name, Text: fmt.Sprintf("%d more problems", d.omitted)})
	}
	return nil, d.problems
}

// Load reads a configuration file. It refuses a file that others than its owner
// may write. The error is Problems if the file could be read.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("configuration: %w", err)
	case !info.Mode().IsRegular():
		return nil, Problems{{File: path, Text: "not a regular file"}}
	case info.Mode().Perm()&0o022 != 0:
		return nil, Problems{{File: path, Text: fmt.Sprintf(
			"mode %04o lets others than its owner write to it (chmod go-w %s)", info.Mode().Perm(), path)}}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, text)
}

// Reference is the commented reference file: every key with its default and its
// meaning. It is a valid configuration.
func Reference() string { return reference.Fairlead }

// Minimal is the smallest configuration that relays.
func Minimal() string { return reference.Minimal }

package config

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"fairlead/docs/reference"
)

// ParseGuard reads a configuration of "fairlead guard", as Kinds.Parse does.
func ParseGuard(name string, text []byte) (*Config, error) {
	d := newDecoder(name)
	d.guard = true
	g := d.guardFile(text)
	if err := d.failed(); err != nil {
		return nil, err
	}
	return g, nil
}

func newDecoder(name string) *decoder {
	return &decoder{file: name, files: onDisk, now: time.Now(), facing: make(map[Family]*matches)}
}

// failed returns Problems, or nil if there is none.
func (d *decoder) failed() error {
	if len(d.problems) == 0 {
		return nil
	}
	d.problems.sort()
	if d.omitted > 0 {
		d.problems = append(d.problems, Problem{File: d.file, Text: fmt.Sprintf("%d more problems", d.omitted)})
	}
	return d.problems
}

// LoadGuard reads a configuration file of "fairlead guard", as Kinds.Load does.
func LoadGuard(path string) (*Config, error) {
	text, err := load(path)
	if err != nil {
		return nil, err
	}
	return ParseGuard(path, text)
}

func load(path string) ([]byte, error) {
	// Without O_NONBLOCK, opening a pipe would wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
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
	return text, nil
}

// GuardReference returns the commented reference file of "fairlead guard".
func GuardReference() string { return reference.Guard }

// Server6Reference returns the commented reference file of the DHCPv6 server's section. It is a
// valid configuration.
func Server6Reference() string { return reference.Server6 }

// Minimal returns the smallest configuration that relays.
func Minimal() string { return reference.Minimal }

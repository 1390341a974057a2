package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
)

// shownLines is how many lines of a command's output are shown, unless a step asks for more.
const shownLines = 12

// in runs a command in a node, and shows it as a user would type it.
func (s *stage) in(d *lab.Node, args ...string) (string, error) {
	return s.inBriefly(d, "", args...)
}

// inBriefly does the same, but shows only those lines of the output that contain a word.
func (s *stage) inBriefly(d *lab.Node, word string, args ...string) (string, error) {
	out, err := d.Run(args...)
	var shown strings.Builder
	for line := range strings.Lines(out) {
		if strings.Contains(line, word) {
			shown.WriteString(strings.TrimLeft(line, "\t"))
		}
	}
	if err != nil && out == "" {
		_, diag, _ := strings.Cut(err.Error(), "exit status ") // after it, the error has the command's standard error
		shown.WriteString(diag)
	}
	s.command(commandLine(inside(d, args)), shown.String(), shownLines)
	return out, err
}

// inside returns a command as a user types it to run it in a node. ip has an option for that.
func inside(d *lab.Node, args []string) []string {
	if args[0] == "ip" {
		return append([]string{"ip", "-n", d.Namespace}, args[1:]...)
	}
	return append([]string{"ip", "netns", "exec", d.Namespace}, args...)
}

// here runs a command that needs no node, and shows it.
func (s *stage) here(lines int, args ...string) (string, error) {
	var out, diag strings.Builder
	cmd := exec.CommandContext(s.ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &diag
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", args[0], err, strings.TrimSpace(diag.String()))
	}
	s.command(commandLine(args), out.String(), lines)
	return out.String(), err
}

// tshark prints fields of the packets of a recording, and shows the command.
func (s *stage) tshark(c *capture.Capture, filter string, fields ...string) (string, error) {
	args := []string{"tshark", "-n", "-r", c.File, "-Y", filter, "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	return s.here(shownLines, args...)
}

// commandWidth is the column at which a long command is broken.
const commandWidth = 100

// commandLine joins a command's words so that a shell splits them into the same words. A long
// command is broken into lines, but not between an option and its value.
func commandLine(args []string) string {
	var b strings.Builder
	column := 0
	for i := 0; i < len(args); i++ {
		word := quote(args[i])
		if isOption(args[i]) && i+1 < len(args) && !isOption(args[i+1]) {
			i++
			word += " " + quote(args[i])
		}
		switch {
		case column == 0:
		case column+len(word) > commandWidth:
			b.WriteString(" \\\n       ")
			column = 0
		default:
			b.WriteByte(' ')
		}
		b.WriteString(word)
		column += len(word) + 1
	}
	return b.String()
}

func isOption(word string) bool { return strings.HasPrefix(word, "-") }

// plain has the characters that have no special meaning for a shell.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@%"

func quote(word string) string {
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// How often a condition is checked: by a look into a file or a table, and by a program that has
// to be started for it.
const (
	pace     = 50 * time.Millisecond
	slowPace = 250 * time.Millisecond
)

// until waits for a condition, or for the end of the demo.
func until(ctx context.Context, every, patience time.Duration, what string, done func() bool) error {
	late := time.After(patience)
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late:
			return fmt.Errorf("waited %v in vain until %s", patience, what)
		case <-time.After(every):
		}
	}
	return nil
}

// expect returns nil if ok, and else an error with that text.
func expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// width is the width of the text. Commands and their output may be wider.
const width = 78

type style string

// The styles of a terminal.
const (
	bold  style = "1"
	dim   style = "2"
	red   style = "1;31"
	green style = "1;32"
	cyan  style = "36"
)

// narrator writes the story, and counts the checks.
type narrator struct {
	out    io.Writer
	colour bool
	step   int
	passed int
	failed []string

	mu     sync.Mutex // guards the field below, and writing
	silent bool
}

// isTerminal reports whether a person would see colours.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

func (n *narrator) paint(s style, text string) string {
	if !n.colour {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// write writes, unless hush was called.
func (n *narrator) write(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.silent {
		fmt.Fprintf(n.out, format, args...)
	}
}

// hush ends the output of the story, because what an interrupted story still writes is of no use.
func (n *narrator) hush() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent = true
}

// loud writes even after hush.
func (n *narrator) loud(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, format, args...)
}

// chapter begins the next step.
func (n *narrator) chapter(title string) {
	n.step++
	n.write("\n%s\n", n.paint(bold, fmt.Sprintf("%d. %s", n.step, title)))
}

// say writes a paragraph.
func (n *narrator) say(format string, args ...any) {
	n.write("%s", wrap(fmt.Sprintf(format, args...), "   "))
}

// command shows a command and its output, at most so many lines of it.
func (n *narrator) command(line, output string, lines int) {
	n.write("   %s %s\n", n.paint(dim, "$"), n.paint(cyan, line))
	if output = strings.TrimRight(output, "\n"); output == "" {
		return
	}
	all := strings.Split(output, "\n")
	cut := max(0, len(all)-lines)
	for _, l := range all[:len(all)-cut] {
		n.write("     %s\n", strings.ReplaceAll(l, "\t", "   "))
	}
	if cut > 0 {
		more := fmt.Sprintf("... and %d lines more", cut)
		if cut == 1 {
			more = "... and one line more"
		}
		n.write("     %s\n", n.paint(dim, more))
	}
}

// check writes a claim, with a tick if err is nil, and else with a cross and the reason. It
// returns err.
func (n *narrator) check(err error, format string, args ...any) error {
	claim := fmt.Sprintf(format, args...)
	if err == nil {
		n.passed++
		n.write("%s", n.mark(green, "✓", claim))
		return nil
	}
	n.failed = append(n.failed, fmt.Sprintf("%d. %s: %v", n.step, claim, err))
	n.write("%s", n.mark(red, "✗", claim))
	n.write("%s", wrap("because: "+err.Error(), "     "))
	return err
}

func (n *narrator) mark(s style, sign, claim string) string {
	return "   " + n.paint(s, sign) + strings.TrimPrefix(wrap(claim, "     "), "    ")
}

// wrap breaks a text at spaces into lines of at most width columns.
func wrap(text, indent string) string {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := indent
		for _, word := range strings.Fields(paragraph) {
			if len(line) > len(indent) && len(line)+len(word) > width {
				b.WriteString(strings.TrimRight(line, " ") + "\n")
				line = indent
			}
			line += word + " "
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

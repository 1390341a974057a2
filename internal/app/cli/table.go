package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// plain separates columns by two spaces, and draws nothing.
var plain = table.Style{
	Name:    "plain",
	Box:     table.BoxStyle{PaddingRight: "  "},
	Options: table.OptionsNoBordersAndSeparators,
	Format:  table.FormatOptions{Header: text.FormatUpper},
}

// grid is a table that is being written.
type grid struct{ w table.Writer }

func newGrid(columns ...any) grid {
	w := table.NewWriter()
	w.SetStyle(plain)
	w.SuppressTrailingSpaces()
	if len(columns) > 0 {
		w.AppendHeader(columns)
	}
	return grid{w}
}

func (g grid) row(cells ...any) { g.w.AppendRow(cells) }

func (g grid) write(out io.Writer) error {
	_, err := fmt.Fprintln(out, printable(g.w.Render()))
	return err
}

// printable removes from a text what a terminal would obey. Names of programs and links, and what
// a peer says in a negotiation, are chosen by others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// line is a text on one line.
func line(s string) string { return strings.ReplaceAll(printable(s), "\n", " ") }

// right aligns the columns with these numbers, from 1.
func (g grid) right(columns ...int) {
	configs := make([]table.ColumnConfig, len(columns))
	for i, n := range columns {
		configs[i] = table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight}
	}
	g.w.SetColumnConfigs(configs)
}

// dash writes "-" for a value that is absent.
func dash[T comparable](v T) any {
	var none T
	if v == none {
		return "-"
	}
	return v
}

// clockTime writes a time for operators, in the time zone of the terminal.
func clockTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// report is all that a run has found, and what the document is made from.
type report struct {
	When    time.Time
	Machine machine
	Options options
	Entries []*entry
	Bars    []bar
}

func newReport(b *bench) *report {
	return &report{When: time.Now().UTC(), Machine: describe(b.options), Options: b.options}
}

// add takes bars that were asked for.
func (r *report) add(b *bench, bars ...bar) {
	for _, one := range bars {
		if b.wants(one.Name) {
			r.Bars = append(r.Bars, one)
		}
	}
}

// finish prints everything and, after a whole run, writes the document.
func (r *report) finish(b *bench, whole bool) error {
	for _, t := range r.tables() {
		fmt.Printf("\n%s\n%s\n", t.Title, t.text())
	}
	slices.SortStableFunc(r.Bars, func(x, y bar) int { return slices.Index(barNames(), x.Name) - slices.Index(barNames(), y.Name) })
	for _, note := range r.notes() {
		fmt.Printf("\n%s", note)
	}
	fmt.Print("\n\n")
	for _, one := range r.Bars {
		fmt.Println(one)
	}
	if !whole || len(b.bars) > 0 || len(b.only) > 0 {
		b.say("not all was run: %s stays as it is", b.document)
		return nil
	}
	text, err := r.markdown()
	if err != nil {
		return err
	}
	return os.WriteFile(b.document, []byte(text), 0o644)
}

// notes are those of all bars.
func (r *report) notes() (all []string) {
	for _, one := range r.Bars {
		for _, note := range one.Notes {
			all = append(all, one.Name+": "+note)
		}
	}
	return all
}

// grid is a table, for the terminal and for the document.
type grid struct {
	Title string
	Head  []string
	Rows  [][]string
}

func (g grid) writer() table.Writer {
	w := table.NewWriter()
	row := func(cells []string) (r table.Row) {
		for _, c := range cells {
			r = append(r, c)
		}
		return r
	}
	w.AppendHeader(row(g.Head))
	for _, cells := range g.Rows {
		w.AppendRow(row(cells))
	}
	return w
}

func (g grid) text() string {
	w := g.writer()
	style := table.StyleLight
	style.Format.Header = 0
	w.SetStyle(style)
	return w.Render()
}

// tables are the plain load for everybody and the mix for us.
func (r *report) tables() (all []grid) {
	head := []string{
		"relay", "exchanges/s", "CPU us/exchange", "p50 us", "p99 us",
		fmt.Sprintf("p50 us at %d/s", openRate), "p99 us", "loss",
		"offered/s in overload", "answered/s", "p99 us", "loss", "RSS MB",
	}
	g := grid{Title: "Plain: Solicit and Advertise, Information-request and Reply", Head: head}
	m := grid{Title: "Mix: a tenth grants, half renews, the rest looks", Head: head}
	for _, e := range r.Entries {
		g.Rows = append(g.Rows, cells(e.Name, e.Plain))
		if len(e.Mix) > 0 {
			m.Rows = append(m.Rows, cells(e.Name, e.Mix))
		}
	}
	if len(g.Rows) > 0 {
		all = append(all, g)
	}
	if len(m.Rows) > 0 {
		all = append(all, m)
	}
	return all
}

// cells are a row: medians of the rounds.
func cells(name string, turns []turn) []string {
	number := func(format string, f func(turn) float64) string { return fmt.Sprintf(format, medianOf(turns, f)) }
	open := func(format string, f func(turn) float64) string {
		if turns[0].Open.Offered == 0 {
			return "-"
		}
		return number(format, f)
	}
	percent := "%.1f %%"
	return []string{
		name,
		number("%.0f", closedRate),
		number("%.1f", closedCPU),
		number("%.0f", func(t turn) float64 { return t.Closed.Latency.P50 }),
		number("%.0f", func(t turn) float64 { return t.Closed.Latency.P99 }),
		open("%.0f", func(t turn) float64 { return t.Open.Latency.P50 }),
		open("%.0f", func(t turn) float64 { return t.Open.Latency.P99 }),
		open(percent, func(t turn) float64 { return 100 * t.Open.loss() }),
		number("%.0f", func(t turn) float64 { return t.Overload.OfferedRate }),
		number("%.0f", func(t turn) float64 { return t.Overload.AnsweredRate }),
		number("%.0f", func(t turn) float64 { return t.Overload.Latency.P99 }),
		number(percent, func(t turn) float64 { return 100 * t.Overload.loss() }),
		number("%.0f", func(t turn) float64 { return float64(t.Closed.RSS) / 1e6 }),
	}
}

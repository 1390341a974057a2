package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"fairlead/tools/bench/bars"
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
func (r *report) add(b *bench, judged ...bar) {
	for _, one := range judged {
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
			m.Rows = append(m.Rows, cells(e.Name, e.Mix), cells(fmt.Sprintf("%s, %d under way", e.Name, peakWindow), peaks(e.Mix)))
		}
	}
	if len(g.Rows) > 0 {
		all = append(all, g, r.crowded())
	}
	if len(m.Rows) > 0 {
		all = append(all, m)
	}
	return all
}

// crowded is the plain load with many clients.
func (r *report) crowded() grid {
	g := grid{
		Title: fmt.Sprintf("Plain, with %d clients", manyClients),
		Head:  []string{"relay", "exchanges/s", "CPU us/exchange", "times the CPU with few"},
	}
	for _, e := range r.Entries {
		us := bars.MedianOf(e.Many, result.perExchange)
		g.Rows = append(g.Rows, []string{
			e.Name, fmt.Sprintf("%.0f", bars.MedianOf(e.Many, func(r result) float64 { return r.AnsweredRate })),
			fmt.Sprintf("%.1f", us), fmt.Sprintf("%.2f", us/e.plainCPU()),
		})
	}
	return g
}

// peaks are turns of the wider closed loop alone.
func peaks(turns []turn) (all []turn) {
	for _, t := range turns {
		all = append(all, turn{Closed: t.Peak})
	}
	return all
}

// cells are a row: medians of the rounds, and a dash for what was not played.
func cells(name string, turns []turn) []string {
	row := []string{name}
	add := func(format string, of func(turn) result, figure func(result) float64) {
		if of(turns[0]).Offered == 0 {
			row = append(row, "-")
			return
		}
		row = append(row, fmt.Sprintf(format, bars.MedianOf(turns, func(t turn) float64 { return figure(of(t)) })))
	}
	var (
		closed   = func(t turn) result { return t.Closed }
		open     = func(t turn) result { return t.Open }
		overload = func(t turn) result { return t.Overload }
		offered  = func(r result) float64 { return r.OfferedRate }
		answered = func(r result) float64 { return r.AnsweredRate }
		p50      = func(r result) float64 { return r.Latency.P50 }
		p99      = func(r result) float64 { return r.Latency.P99 }
		loss     = func(r result) float64 { return 100 * r.loss() }
		memory   = func(r result) float64 { return float64(r.RSS) / 1e6 }
	)
	add("%.0f", closed, answered)
	add("%.1f", closed, result.perExchange)
	add("%.0f", closed, p50)
	add("%.0f", closed, p99)
	add("%.0f", open, p50)
	add("%.0f", open, p99)
	add("%.1f %%", open, loss)
	add("%.0f", overload, offered)
	add("%.0f", overload, answered)
	add("%.0f", overload, p99)
	add("%.1f %%", overload, loss)
	add("%.0f", closed, memory)
	return row
}

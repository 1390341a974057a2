package harness

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/jedib0t/go-pretty/v6/table"
)

// Grid is a table, for a terminal or a document.
type Grid struct {
	Title string
	Head  []string
	Rows  [][]string
}

func (g Grid) writer() table.Writer {
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

// Markdown returns the table for a document.
func (g Grid) Markdown() string { return g.writer().RenderMarkdown() }

// String returns the table for a terminal.
func (g Grid) String() string {
	w := g.writer()
	style := table.StyleLight
	style.Format.Header = 0
	w.SetStyle(style)
	return g.Title + "\n" + w.Render()
}

// page has what the text of a document can use: {{code "ls"}}, and {{template "bars" .}} for the
// bars of a run.
var page = template.Must(template.New("").Funcs(template.FuncMap{
	"code": func(s string) string { return "`" + s + "`" },
}).Parse(`{{define "bars"}}## Bars

| bar | figure | wanted | |
|---|---|---|---|
{{range .Judged}}| {{.Name}} | {{.Figure}} | {{with .Wanted}}{{.}}{{else}}-{{end}} | {{.Word}}{{with .Void}}: {{.}}{{end}} |
{{end}}
A missed bar is a result, not an error of the run. A void bar says nothing, because a
condition of its measurement was not met.
{{end}}`))

// Page returns a template for the text of a document.
func Page(text string) *template.Template {
	return template.Must(template.Must(page.Clone()).New("page").Parse(text))
}

// Fill returns the text of a page, filled with values.
func Fill(page *template.Template, with any) (string, error) {
	var w strings.Builder
	if err := page.Execute(&w, with); err != nil {
		return "", fmt.Errorf("document: %w", err)
	}
	return w.String(), nil
}

// List returns figures with commas between them.
func List(format string, values []float64) string {
	texts := make([]string, len(values))
	for i, one := range values {
		texts[i] = fmt.Sprintf(format, one)
	}
	return strings.Join(texts, ", ")
}

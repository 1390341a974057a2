package main

import (
	"fmt"
	"strings"
)

// markdown is the document.
func (r *report) markdown() string {
	var w strings.Builder
	for _, g := range r.tables() {
		fmt.Fprintf(&w, "## %s\n\n%s\n\n", g.Title, g.writer().RenderMarkdown())
	}
	for _, b := range r.Bars {
		fmt.Fprintf(&w, "%s\n", b)
	}
	return w.String()
}

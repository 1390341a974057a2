package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxText bounds one value of the file, in octets.
const maxText = 4096

// decoder collects the problems of one file.
type decoder struct {
	file     string
	problems Problems
	omitted  int // problems beyond maxProblems
	// visit, if set, is told of each mapping: the keys that it may have, and
	// those that it has.
	visit func(path string, allowed, present []string)
	// uplinks names the server that is reached over each interface that is
	// named in full.
	uplinks map[string]string
}

func (d *decoder) add(line, column int, path, format string, args ...any) {
	if len(d.problems) == maxProblems {
		d.omitted++
		return
	}
	d.problems = append(d.problems, Problem{d.file, line, column, path, fmt.Sprintf(format, args...)})
}

// value is a node of the document and the path that leads to it.
type value struct {
	d    *decoder
	node ast.Node
	path string
}

// problem reports what is wrong with the value as a whole.
func (v value) problem(format string, args ...any) {
	at := start(v.node)
	v.d.add(at.Line, at.Column, v.path, format, args...)
}

// problemAt reports what is wrong at an octet of the value's text.
func (v value) problemAt(octet int, format string, args ...any) {
	at := start(v.node)
	if t := v.node.GetToken(); t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
		at.Column++
	}
	text, _ := v.raw()
	at.Column += utf8.RuneCountInString(text[:min(octet, len(text))])
	v.d.add(at.Line, at.Column, v.path, format, args...)
}

// field is one key that a mapping may have. Fields are read in the order of the
// table, whatever the order of the file.
type field struct {
	key      string
	required bool
	read     func(value)
}

func optional(key string, read func(value)) field { return field{key: key, read: read} }
func required(key string, read func(value)) field { return field{key: key, required: true, read: read} }

// mapping reads the value as a mapping with these keys. It reports whether the
// value is a mapping at all.
func (v value) mapping(fields ...field) bool {
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		v.wrongKind("a mapping with " + keys(fields))
		return false
	}
	present := make(map[string]value, len(pairs))
	var order []string
	for _, pair := range pairs {
		v.pair(pair, fields, present, &order)
	}
	if v.d.visit != nil {
		allowed := make([]string, len(fields))
		for i, f := range fields {
			allowed[i] = f.key
		}
		v.d.visit(v.path, allowed, order)
	}
	for _, f := range fields {
		entry, ok := present[f.key]
		switch {
		case ok && entry.node != nil:
			f.read(entry)
		case !ok && f.required:
			v.problem("%s is missing", f.key)
		}
	}
	return true
}

// pair files one key and its value, with a nil node where the value cannot be
// read.
func (v value) pair(pair *ast.MappingValueNode, fields []field, present map[string]value, order *[]string) {
	key, ok := value{v.d, pair.Key, v.path}.raw()
	if !ok {
		return // a merge key or an alias, which is reported
	}
	entry := value{v.d, pair.Value, key}
	if v.path != "" {
		entry.path = v.path + "." + key
	}
	at := start(pair.Key)
	if first, twice := present[key]; twice {
		line := "above"
		if first.node != nil {
			line = fmt.Sprintf("on line %d", start(first.node).Line)
		}
		v.d.add(at.Line, at.Column, entry.path, "the key is there already, %s (once)", line)
		return
	}
	known := false
	for _, f := range fields {
		known = known || f.key == key
	}
	if !known {
		v.d.add(at.Line, at.Column, entry.path, "unknown key (%s)", keys(fields))
		return
	}
	*order = append(*order, key)
	if pair.Value == nil || pair.Value.Type() == ast.NullType {
		v.d.add(at.Line, at.Column, entry.path, "no value (leave the key out for its default)")
		entry.node = nil
	}
	present[key] = entry
}

// list reads the value as a list.
func (v value) list(what string, each func(value)) {
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.wrongKind("a list of " + what)
		return
	}
	for i, node := range n.Values {
		entry := value{v.d, node, fmt.Sprintf("%s[%d]", v.path, i)}
		if node == nil || node.Type() == ast.NullType {
			v.d.add(start(n).Line, start(n).Column, entry.path, "no value (leave the entry out)")
			continue
		}
		each(entry)
	}
}

// text is the value as a scalar; the problem is reported if it is none.
func (v value) text() (string, bool) {
	text, ok := v.raw()
	switch {
	case !ok:
		v.wrongKind("a single value")
	case text == "":
		v.problem("empty (leave the key out for its default)")
	case len(text) > maxText:
		v.problem("%d octets long (at most %d)", len(text), maxText)
	case strings.IndexFunc(text, unicode.IsControl) >= 0:
		v.problem("%q has a control character (one line of text)", text)
	default:
		return text, true
	}
	return "", false
}

// isList reports whether the value is a list.
func (v value) isList() bool {
	_, ok := v.node.(*ast.SequenceNode)
	return ok
}

// isScalar reports whether the value is neither list nor mapping.
func (v value) isScalar() bool {
	_, ok := v.raw()
	return ok
}

// raw is the text of a scalar as it was written, whatever type YAML would give
// it.
func (v value) raw() (string, bool) {
	switch n := v.node.(type) {
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// wrongKind reports a node of another kind than is wanted.
func (v value) wrongKind(want string) {
	switch n := v.node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		hint := ""
		if m, ok := n.(*ast.MappingNode); ok && m.IsFlowStyle {
			hint = "; quote a value that starts with {"
		}
		v.problem("a mapping (want %s%s)", want, hint)
	case *ast.SequenceNode:
		hint := ""
		if n.IsFlowStyle {
			hint = "; quote a value that starts with ["
		}
		v.problem("a list (want %s%s)", want, hint)
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MappingKeyNode, *ast.MergeKeyNode:
		// Reported with the document's form.
	default:
		text, _ := v.raw()
		v.problem("%q (want %s)", text, want)
	}
}

// read makes a reader of a scalar from a parser of its text. The parser's error
// says what is wrong and what is allowed.
func read[T any](to *T, parse func(string) (T, error)) func(value) {
	return func(v value) {
		if got, ok := scalar(v, parse); ok {
			*to = got
		}
	}
}

// scalar parses the text of a value and reports what the parser says.
func scalar[T any](v value, parse func(string) (T, error)) (T, bool) {
	text, ok := v.text()
	if !ok {
		var none T
		return none, false
	}
	got, err := parse(text)
	var at *offsetError
	switch {
	case errors.As(err, &at):
		v.problemAt(at.octet, "%v", err)
	case err != nil:
		v.problem("%v", err)
	}
	return got, err == nil
}

// readList makes a reader of a list; it replaces what the default may hold.
func readList[T any](to *[]T, what string, parse func(string) (T, error)) func(value) {
	return func(v value) {
		var all []T
		v.list(what, func(entry value) {
			if got, ok := scalar(entry, parse); ok {
				all = append(all, got)
			}
		})
		*to = all
	}
}

// choice is one word of an enumeration.
type choice[T any] struct {
	word  string
	means T
}

// oneOf makes a parser of an enumeration.
func oneOf[T any](choices ...choice[T]) func(string) (T, error) {
	return func(text string) (T, error) {
		words := make([]string, len(choices))
		for i, c := range choices {
			if c.word == text {
				return c.means, nil
			}
			words[i] = c.word
		}
		var none T
		return none, fmt.Errorf("%q (one of: %s)", text, strings.Join(words, ", "))
	}
}

// offsetError is an error at one octet of a value's text.
type offsetError struct {
	octet int
	err   error
}

func (e *offsetError) Error() string { return e.err.Error() }
func (e *offsetError) Unwrap() error { return e.err }

func keys(fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	if len(names) == 1 {
		return "only: " + names[0]
	}
	return "one of: " + strings.Join(names, ", ")
}

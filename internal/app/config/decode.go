package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxText bounds one value of the file, in octets. maxList bounds a list, in entries, because the
// entries of some lists are compared with each other.
const (
	maxText = 4096
	maxList = 4096
)

// decoder collects the problems of one file.
type decoder struct {
	file     string
	problems Problems
	omitted  int             // problems beyond maxProblems, which are only counted
	refused  map[[2]int]bool // line and column of each value that has a forbidden form
	// visit, if set, is called for each mapping, with the keys that it may have and the keys that
	// it has.
	visit func(path string, allowed, present []string)
	// uplinks has, for each interface that a server's entry names in full, the name of that
	// server.
	uplinks  map[string]string
	facing   map[Family]*matches // client-facing links
	spoken   bool                // whether the text is an operator's word at run time, and no file
	guard    bool                // whether the file is one of "fairlead guard"
	files    keyFiles
	keys     map[[sha256.Size]byte]string // by a hash of the key, the path of the value whose file contains it
	now      time.Time                    // the time for which certificates are checked
	warnings Problems
	mentions []mention
}

func (d *decoder) add(line, column int, path, format string, args ...any) {
	if path != "" && d.refused[[2]int{line, column}] {
		return // the problem of its form has been reported
	}
	if len(d.problems) == maxProblems {
		d.omitted++
		return
	}
	d.problems = append(d.problems, Problem{d.file, line, column, path, fmt.Sprintf(format, args...)})
}

// Value is a node of the document and the path that leads to it.
type Value struct {
	d      *decoder
	node   ast.Node
	path   string
	secret bool   // a key may stand here by mistake, so the value is never repeated
	want   string // what is expected, if a value must be there
}

// part returns a node inside the value, as a Value.
func (v Value) part(node ast.Node, path string) Value { return Value{d: v.d, node: node, path: path} }

// Problem reports what is wrong with the value as a whole.
func (v Value) Problem(format string, args ...any) {
	at := start(v.node)
	v.d.add(at.Line, at.Column, v.path, format, args...)
}

// problemAt reports what is wrong at an octet of the value's text.
func (v Value) problemAt(octet int, format string, args ...any) {
	at := start(v.node)
	if t := v.node.GetToken(); t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
		at.Column++
	}
	text, _ := v.raw()
	at.Column += utf8.RuneCountInString(text[:min(octet, len(text))])
	v.d.add(at.Line, at.Column, v.path, format, args...)
}

// Field is one key that a mapping may have. Fields are read in the order of the table, and not in
// the order of the file.
type Field struct {
	key      string
	required string      // what is expected, if the key must be there
	secret   bool        // see Value
	spared   func() bool // reports, by what was read before, that the required key need not be there; nil: it must be
	later    string      // if the key is for a later version: why it is known and refused
	read     func(Value)
}

func Optional(key string, read func(Value)) Field { return Field{key: key, read: read} }

func Required(key, want string, read func(Value)) Field {
	return Field{key: key, required: want, read: read}
}

// unless returns a required field that may be left out if spared returns true.
func (f Field) unless(spared func() bool) Field {
	f.spared = spared
	return f
}

// later returns a field for a key that a later version will use, and that is refused until then.
func later(key, why string) Field { return Field{key: key, later: why} }

// has reports whether the value is a mapping with a key.
func (v Value) has(key string) bool {
	n, ok := v.node.(*ast.MappingNode)
	return ok && slices.ContainsFunc(n.Values, func(pair *ast.MappingValueNode) bool {
		text, _ := v.part(pair.Key, v.path).raw()
		return text == key
	})
}

// Mapping reads the value as a mapping with these keys. It reports whether the value is a mapping
// at all.
func (v Value) Mapping(fields ...Field) bool {
	n, ok := v.node.(*ast.MappingNode)
	if !ok {
		v.wrongKind("a mapping with " + keys(fields))
		return false
	}
	present := make(map[string]*ast.MappingValueNode, len(n.Values))
	for _, pair := range n.Values {
		v.pair(pair, fields, present)
	}
	if v.d.visit != nil {
		v.visit(fields, present)
	}
	for _, f := range fields {
		pair, ok := present[f.key]
		switch {
		case ok && !isNull(pair.Value):
			at := v.part(pair.Value, v.child(f.key))
			at.secret, at.want = f.secret, f.required
			f.read(at)
		case !ok && f.required != "" && (f.spared == nil || !f.spared()):
			v.part(v.node, v.child(f.key)).Problem("missing (%s)", f.required)
		}
	}
	return true
}

// pair reads one key with its value.
func (v Value) pair(pair *ast.MappingValueNode, fields []Field, present map[string]*ast.MappingValueNode) {
	key, ok := v.part(pair.Key, v.path).raw()
	if !ok {
		return // a merge key or an alias, which has been reported
	}
	at := v.part(pair.Key, v.child(key))
	if first, twice := present[key]; twice {
		at.Problem("the key is there already, on line %d (once)", start(first.Key).Line)
		return
	}
	i := slices.IndexFunc(fields, func(f Field) bool { return f.key == key })
	switch {
	case i < 0 && v.hides(key):
		v.part(pair.Key, v.path).Problem("unknown key, %s (%s)", unrepeated, keys(fields))
		return
	case i < 0:
		at.unknownKey(key, fields)
		return
	case fields[i].later != "":
		at.Problem("%s", fields[i].later)
		return
	}
	present[key] = pair
	if isNull(pair.Value) {
		at.Problem("no value (%s)", cmp.Or(fields[i].required, orLeaveOut))
	}
}

// renamed has the new names of keys that were once called otherwise.
var renamed = map[string]string{
	"audit":          "compare",
	"borrow":         "unnumbered",
	"host":           "per-mac",
	"infrastructure": "reserved-prefixes",
	"loop":           "loop-drop",
	"move":           "lease-move",
	"strongswan":     "vici-socket",
}

// unknownKey reports a key that the mapping does not have.
func (v Value) unknownKey(key string, fields []Field) {
	if now := renamed[key]; slices.ContainsFunc(fields, func(f Field) bool { return f.key == now }) {
		v.Problem("this key is %s now", now)
		return
	}
	v.Problem("unknown key (%s)", keys(fields))
}

// visit tells the decoder's observer of a mapping.
func (v Value) visit(fields []Field, present map[string]*ast.MappingValueNode) {
	var allowed, found []string
	for _, f := range fields {
		if f.later != "" {
			continue
		}
		allowed = append(allowed, f.key)
		if present[f.key] != nil {
			found = append(found, f.key)
		}
	}
	v.d.visit(v.path, allowed, found)
}

// at returns the value of a key, or the whole mapping if it does not have that key.
func (v Value) at(key string) Value {
	if n, ok := v.node.(*ast.MappingNode); ok {
		for _, pair := range n.Values {
			if text, _ := v.part(pair.Key, v.path).raw(); text == key && !isNull(pair.Value) {
				return v.part(pair.Value, v.child(key))
			}
		}
	}
	return v.part(v.node, v.child(key))
}

// child returns the path of a key of the value.
func (v Value) child(key string) string {
	if v.path == "" {
		return key
	}
	return v.path + "." + key
}

// orLeaveOut says what is allowed for a key that is not required.
const orLeaveOut = "a value, or leave the key out"

func isNull(n ast.Node) bool { return n == nil || n.Type() == ast.NullType }

// list reads the value as a list.
func (v Value) list(what string, each func(Value)) {
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.wrongKind("a list of " + what)
		return
	}
	if len(n.Values) > maxList {
		v.Problem("%d entries (at most %d)", len(n.Values), maxList)
		return
	}
	for i, node := range n.Values {
		entry := v.part(node, fmt.Sprintf("%s[%d]", v.path, i))
		entry.secret, entry.want = v.secret, "a value, or leave the entry out"
		if isNull(node) {
			if node == nil {
				entry.node = n // the problem is shown at the list in which the value is missing
			}
			entry.Problem("no value (%s)", entry.want)
			continue
		}
		each(entry)
	}
}

// oneOrList reads the value as a list, or as the only entry of a list.
func (v Value) oneOrList(what string, each func(Value)) {
	if v.isScalar() {
		each(v)
		return
	}
	v.list(what+", or one", each)
}

// text returns the value as a scalar. It reports a problem if the value is no scalar.
func (v Value) text() (string, bool) {
	text, ok := v.raw()
	switch {
	case !ok:
		v.wrongKind("a single value")
	case text == "":
		v.Problem("empty (%s)", cmp.Or(v.want, orLeaveOut))
	case len(text) > maxText:
		v.Problem("%d octets long (at most %d)", len(text), maxText)
	case v.hides(text) && strings.IndexFunc(text, unicode.IsControl) >= 0:
		v.Problem("more than one line of text, %s (one line)", unrepeated)
	case strings.IndexFunc(text, unicode.IsControl) >= 0:
		v.Problem("%q has a control character (one line of text)", text)
	default:
		return text, true
	}
	return "", false
}

// isList reports whether the value is a list.
func (v Value) isList() bool {
	_, ok := v.node.(*ast.SequenceNode)
	return ok
}

// isEmptyList reports whether the value is a list without entries, valid or not.
func (v Value) isEmptyList() bool {
	n, ok := v.node.(*ast.SequenceNode)
	return ok && len(n.Values) == 0
}

// isScalar reports whether the value is neither list nor mapping.
func (v Value) isScalar() bool {
	_, ok := v.raw()
	return ok
}

// raw returns the text of a scalar as it was written, whatever type YAML gives it.
func (v Value) raw() (string, bool) {
	switch n := v.node.(type) {
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", true
		}
		return n.Value.Value, true
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// wrongKind reports a node of another kind than is wanted.
func (v Value) wrongKind(want string) {
	switch n := v.node.(type) {
	case *ast.MappingNode:
		hint := ""
		if n.IsFlowStyle {
			hint = "; put quotes around a value that starts with {"
		}
		v.Problem("a mapping (want %s%s)", want, hint)
	case *ast.SequenceNode:
		hint := ""
		if n.IsFlowStyle {
			hint = "; put quotes around a value that starts with ["
		}
		v.Problem("a list (want %s%s)", want, hint)
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MappingKeyNode, *ast.MergeKeyNode:
		// This is reported with the document's form.
	default:
		text, _ := v.raw()
		if v.hides(text) {
			v.Problem("a single value, %s (want %s)", unrepeated, want)
			return
		}
		v.Problem("%q (want %s)", text, want)
	}
}

// Read returns a reader of a scalar, made of a parser of its text. The parser's error says what
// is wrong and what is allowed.
func Read[T any](to *T, parse func(string) (T, error)) func(Value) {
	return func(v Value) {
		if got, ok := scalar(v, parse); ok {
			*to = got
		}
	}
}

// scalar parses the text of a value. It reports the parser's error as a problem.
func scalar[T any](v Value, parse func(string) (T, error)) (T, bool) {
	text, ok := v.text()
	if !ok {
		var none T
		return none, false
	}
	got, err := parse(text)
	var at *offsetError
	switch {
	case err != nil && v.hides(text):
		v.Problem("wrong, and %s (%s)", unrepeated, ownFile)
	case errors.As(err, &at):
		v.problemAt(at.octet, "%v", err)
	case err != nil:
		v.Problem("%v", err)
	}
	return got, err == nil
}

// ReadList returns a reader of a list. The list takes the place of the default.
func ReadList[T any](to *[]T, what string, parse func(string) (T, error)) func(Value) {
	return readEach(to, what, parse, func(Value, T) {})
}

// readEach is ReadList, and calls look for each entry.
func readEach[T any](to *[]T, what string, parse func(string) (T, error), look func(Value, T)) func(Value) {
	return func(v Value) {
		var all []T
		v.list(what, func(entry Value) {
			if got, ok := scalar(entry, parse); ok {
				look(entry, got)
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

// oneOf returns a parser of an enumeration.
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
		return none, fmt.Errorf("%q (%s)", text, among(words))
	}
}

// offsetError is an error at one octet of a value's text.
type offsetError struct {
	octet int
	err   error
}

func (e *offsetError) Error() string { return e.err.Error() }

func keys(fields []Field) string {
	var names []string
	for _, f := range fields {
		if f.later == "" {
			names = append(names, f.key)
		}
	}
	return among(names)
}

// among returns a text that says which words are allowed.
func among(words []string) string {
	if len(words) == 1 {
		return "only: " + words[0]
	}
	return "one of: " + strings.Join(words, ", ")
}

package config

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of the text. The parser recurses as deep as the text does, and keeps for each value the
// keys that lead to it. Therefore both are bounded before the parser runs.
const (
	maxFile   = 1 << 20 // octets
	maxDepth  = 16      // lists and mappings inside each other
	maxIndent = 200     // columns before the first word of a line
	maxKey    = 64      // octets
	maxKeys   = 256     // in one mapping: the parser's time grows with the square of this number
)

// octal matches what YAML 1.1, YAML 1.2 or Go would read as an octal number.
var octal = regexp.MustCompile(`^[-+]?0[oO]?[0-9_]+$`)

// document parses the text into its only document, and returns nil if it has none. It reports
// problems to the decoder. ok is false if there is nothing to decode.
func (d *decoder) document(text []byte) (body ast.Node, ok bool) {
	if !d.encoding(text) {
		return nil, false
	}
	defer func() {
		// The parser is not ours, and holds no state. A text that makes it panic is refused.
		if r := recover(); r != nil {
			d.add(0, 0, "", "not YAML that can be read: the parser stopped") // the parser's own words may quote the text
			body, ok = nil, false
		}
	}()
	tokens := joinColons(lexer.Tokenize(string(text)))
	if !d.form(tokens) {
		return nil, false
	}
	if !d.features(tokens) || !d.layout(string(text), tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil, false
	}
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); directive || isNull(doc.Body) {
			continue
		}
		if body != nil {
			at := start(doc.Body)
			d.add(at.Line, at.Column, "", "a second document (one document in a file)")
			break
		}
		body = doc.Body
	}
	return body, true
}

// encoding refuses a text that is not UTF-8 or is too large.
func (d *decoder) encoding(text []byte) bool {
	if len(text) > maxFile {
		d.add(0, 0, "", "more than 1 MiB (a configuration is smaller)")
		return false
	}
	if bytes.HasPrefix(text, []byte("\xfe\xff")) || bytes.HasPrefix(text, []byte("\xff\xfe")) || len(text) > 1 && (text[0] == 0) != (text[1] == 0) {
		d.add(1, 1, "", "UTF-16 (write the file in UTF-8)")
		return false
	}
	line, column, indent := 1, 1, true
	for rest := text; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			d.add(line, column, "", "octet 0x%02x is not UTF-8 (write the file in UTF-8)", rest[0])
			return false
		case r == '\uFEFF':
			d.add(line, column, "", "byte order mark (write the file in UTF-8 without one)")
			return false
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			d.add(line, column, "", "control character 0x%02x (text, tabs and ends of lines)", r)
			return false
		case r == '\r' && !bytes.HasPrefix(rest[n:], []byte("\n")):
			d.add(line, column, "", "carriage return inside a line (end lines with a line feed)")
			return false
		}
		if indent && r == '\t' {
			d.add(line, column, "", "a tab in the indentation (spaces)")
			return false
		}
		column, indent = column+1, indent && r == ' '
		if r == '\n' {
			line, column, indent = line+1, 1, true
		}
		rest = rest[n:]
	}
	return true
}

// form refuses texts that the parser must not be given.
func (d *decoder) form(tokens token.Tokens) bool {
	flow, dashes, line := 0, 0, 0
	var blocks mappings
	for i, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
			if t.Position.Column > maxIndent && t.Type != token.CommentType {
				d.at(t, "the line starts in column %d (at most %d)", t.Position.Column, maxIndent)
				return false
			}
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			dashes++
			blocks.leave(t.Position.Column)
		case token.MappingValueType:
			if i > 0 && len(tokens[i-1].Value) > maxKey {
				d.at(tokens[i-1], "a key of %d octets (at most %d)", len(tokens[i-1].Value), maxKey)
				return false
			}
			if i > 0 && blocks.key(tokens[i-1].Position.Column) > maxKeys {
				d.at(tokens[i-1], "more than %d keys in one mapping", maxKeys)
				return false
			}
		case token.MappingKeyType:
			d.at(t, "a key with ? (write key: value)")
			return false
		case token.InvalidType:
			hint := ""
			if strings.Contains(t.Error, "reserved character") || strings.Contains(t.Error, "header option") {
				hint = " (put quotes around the value)"
			}
			d.at(t, "not YAML: %s%s", unquoted(t.Error), hint)
			return false
		}
		if flow > maxDepth || dashes > maxDepth {
			d.at(t, "lists or mappings nested more than %d deep", maxDepth)
			return false
		}
	}
	return true
}

// mappings counts the keys of the mappings that a token lies in, by the column in which their
// keys start.
type mappings []struct{ column, keys int }

// leave ends the mappings to the right of a column.
func (m *mappings) leave(column int) {
	for len(*m) > 0 && (*m)[len(*m)-1].column > column {
		*m = (*m)[:len(*m)-1]
	}
}

// key counts a key, and returns how many its mapping has.
func (m *mappings) key(column int) int {
	m.leave(column)
	if n := len(*m); n == 0 || (*m)[n-1].column < column {
		*m = append(*m, struct{ column, keys int }{column, 0})
	}
	top := &(*m)[len(*m)-1]
	top.keys++
	return top.keys
}

// features refuses the parts of YAML that surprise people. It returns false if too much was
// refused for further checks: without the values that a merge key or an alias stands for, many
// keys would be reported as missing.
func (d *decoder) features(tokens token.Tokens) bool {
	d.refused = make(map[[2]int]bool)
	whole := true
	refuse := func(t *token.Token, format string, args ...any) {
		d.at(t, format, args...)
		d.refused[[2]int{t.Position.Line, t.Position.Column}] = true
		whole = whole && isPlain(t)
	}
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType:
			refuse(t, "an anchor (not allowed; relay6.defaults holds what links share; quote a value that starts with &)")
		case token.AliasType:
			refuse(t, "an alias (not allowed; quote a value that starts with *)")
		case token.MergeKeyType:
			refuse(t, "a merge key (not allowed; relay6.defaults holds what links share)")
		case token.TagType:
			refuse(t, "a tag (not allowed; quote a value that starts with !)")
		case token.DirectiveType:
			refuse(t, "a directive (not allowed; quote a value that starts with %%)")
		case token.StringType, token.IntegerType, token.OctetIntegerType, token.FloatType:
			if octal.MatchString(t.Value) {
				refuse(t, "a number with leading zeros may be read as octal (decimal without them, or quotes if it is text)")
			}
		}
	}
	return whole
}

// syntax reports the parser's error.
func (d *decoder) syntax(err error) {
	var e *yaml.SyntaxError
	if !errors.As(err, &e) || e.Token == nil || e.Token.Position == nil {
		d.add(0, 0, "", "not YAML") // the error's own text quotes lines
		return
	}
	hint := ""
	if prev := e.Token.Prev; prev != nil && (prev.Type == token.SequenceEndType || prev.Type == token.MappingEndType) {
		hint = " (put quotes around a value that starts with [ or {)"
	} else if strings.HasPrefix(e.Message, "mapping value is not allowed") {
		hint = " (look at the indentation of this line and the next, or put quotes around a value with a colon and a space)"
	}
	d.at(e.Token, "not YAML: %s%s", unquoted(e.Message), hint)
}

func (d *decoder) at(t *token.Token, format string, args ...any) {
	d.add(t.Position.Line, t.Position.Column, "", format, args...)
}

// start returns where a node begins in the text.
func start(n ast.Node) token.Position {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return start(m.Values[0].Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return *t.Position
	}
	return token.Position{}
}

package links

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fairlead/internal/wire/linkaddr"
)

// Template is text with placeholders that a link or a client's message fills
// in: {interface}, {index}, {hostname}, {vrf} and {link-layer}. Braces stand
// for themselves when doubled. The zero Template is empty and inserts nothing.
type Template struct {
	parts []part
	text  string
}

type part struct {
	field   field
	literal string
}

type field uint8

const (
	literal field = iota
	fieldInterface
	fieldIndex
	fieldHostname
	fieldVRF
	fieldLinkLayer
)

var fields = map[string]field{
	"interface":  fieldInterface,
	"index":      fieldIndex,
	"hostname":   fieldHostname,
	"vrf":        fieldVRF,
	"link-layer": fieldLinkLayer,
}

// ParseTemplate reads a template; the error names the offset in octets.
func ParseTemplate(s string) (Template, error) {
	t := Template{text: s}
	var lit strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '{' && s[i] != '}':
			lit.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == s[i]:
			lit.WriteByte(s[i])
			i++
		case s[i] == '}':
			return Template{}, fmt.Errorf("template: octet %d: } without {", i)
		default:
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return Template{}, fmt.Errorf("template: octet %d: { without }", i)
			}
			f, ok := fields[s[i+1:i+end]]
			if !ok {
				return Template{}, fmt.Errorf("template: octet %d: unknown placeholder %q (one of {interface}, {index}, {hostname}, {vrf}, {link-layer})", i, s[i:i+end+1])
			}
			if lit.Len() > 0 {
				t.parts = append(t.parts, part{literal: lit.String()})
				lit.Reset()
			}
			t.parts = append(t.parts, part{field: f})
			i += end
		}
	}
	if lit.Len() > 0 {
		t.parts = append(t.parts, part{literal: lit.String()})
	}
	return t, nil
}

// String is the template's source text.
func (t Template) String() string { return t.text }

// IsEmpty reports whether the template inserts nothing.
func (t Template) IsEmpty() bool { return len(t.parts) == 0 }

// PerClient reports whether the text depends on the client's message.
func (t Template) PerClient() bool { return t.has(fieldLinkLayer) }

// PerLink reports whether no two links have the same text.
func (t Template) PerLink() bool { return t.has(fieldInterface) || t.has(fieldIndex) }

func (t Template) has(f field) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.field == f })
}

// Facts are what placeholders stand for.
type Facts struct {
	Link      *Link
	Hostname  string
	LinkLayer linkaddr.Addr // of the client; invalid: unknown
}

// Append appends the text.
func (t Template) Append(b []byte, f Facts) []byte {
	for _, p := range t.parts {
		switch p.field {
		case literal:
			b = append(b, p.literal...)
		case fieldInterface:
			b = append(b, f.Link.Name...)
		case fieldIndex:
			b = strconv.AppendInt(b, int64(f.Link.Index), 10)
		case fieldHostname:
			b = append(b, f.Hostname...)
		case fieldVRF:
			b = append(b, f.Link.VRF...)
		case fieldLinkLayer:
			b = f.LinkLayer.AppendString(b)
		}
	}
	return b
}

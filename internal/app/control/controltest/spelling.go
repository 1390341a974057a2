package controltest

import (
	"encoding"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// Spelling reports the fields of types in JSON that are not in snake_case, through
// all the types that they are made of, and returns how many fields there are.
func Spelling(t testing.TB, values ...any) int {
	t.Helper()
	s := &speller{t: t, seen: make(map[reflect.Type]bool)}
	for _, v := range values {
		s.walk(reflect.TypeOf(v))
	}
	return s.fields
}

type speller struct {
	t      testing.TB
	seen   map[reflect.Type]bool
	fields int
}

// Types that write themselves have no fields in JSON.
var (
	asText = reflect.TypeFor[encoding.TextMarshaler]()
	asJSON = reflect.TypeFor[json.Marshaler]()
)

func (s *speller) walk(of reflect.Type) {
	s.t.Helper()
	if s.seen[of] || of.Implements(asText) || of.Implements(asJSON) {
		return
	}
	s.seen[of] = true
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		s.walk(of.Elem())
	case reflect.Struct:
		for i := range of.NumField() {
			s.field(of, of.Field(i))
		}
	}
}

func (s *speller) field(of reflect.Type, f reflect.StructField) {
	s.t.Helper()
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case name == "-" || !f.IsExported() && !f.Anonymous:
		return
	case name == "" && f.Anonymous: // its fields are the type's own
	case !snakeCase.MatchString(name):
		s.t.Errorf("%s.%s is %q in JSON, want snake_case", of, f.Name, name)
	default:
		s.fields++
	}
	s.walk(f.Type)
}

package controltest

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
)

// object is an object of JSON, whose keys are written in order.
type object = map[string]any

// OpenAPI is a description of routes by OpenAPI 3.1 for what is called title. Its words are
// the comments of package api, whose sources are in a folder. A route that is there twice
// is described once: the first one answers.
func OpenAPI(title string, routes []control.Route, sources string) ([]byte, error) {
	words, err := commentsIn(sources)
	if err != nil {
		return nil, err
	}
	d := description{words: words, schemas: object{}}
	paths := object{}
	for _, r := range routes {
		if paths[r.Path] == nil {
			paths[r.Path] = object{strings.ToLower(r.Method): d.operation(&r.Shape)}
		}
	}
	text, err := json.MarshalIndent(object{
		"openapi":    "3.1.0",
		"info":       object{"title": title, "version": "1", "description": "JSON over HTTP, on a Unix socket or with client certificates. Within /v1 fields are added, and never renamed or removed."},
		"paths":      paths,
		"components": object{"schemas": d.schemas},
	}, "", "  ")
	return append(text, '\n'), err
}

// commentsIn are the comments of the types of a package, by their names, and of their
// fields, by "Type.Field".
func commentsIn(sources string) (map[string]string, error) {
	found := make(map[string]string)
	files, err := filepath.Glob(filepath.Join(sources, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, of := range file.Decls {
			declared, ok := of.(*ast.GenDecl)
			if !ok || strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, s := range declared.Specs {
				if t, ok := s.(*ast.TypeSpec); ok {
					found[t.Name.Name] = plain(declared.Doc)
					addFields(found, t)
				}
			}
		}
	}
	return found, nil
}

// addFields adds the comments of a type's fields.
func addFields(to map[string]string, t *ast.TypeSpec) {
	of, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range of.Fields.List {
		for _, name := range f.Names {
			to[t.Name.Name+"."+name.Name] = plain(f.Doc) + plain(f.Comment)
		}
	}
}

// plain is a comment on one line.
func plain(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// description is an OpenAPI description in the making.
type description struct {
	words   map[string]string
	schemas object // by the name of a type
}

func (d *description) operation(s *control.Shape) object {
	kind := "application/json"
	if s.Streams {
		kind = "text/event-stream"
	}
	content := func(kind string, t reflect.Type) object { return object{kind: object{"schema": d.schema(t)}} }
	o := object{"responses": object{
		"200":     object{"description": "what was asked for, or done", "content": content(kind, s.Answers)},
		"default": object{"description": "why not", "content": content("application/json", reflect.TypeFor[api.Failure]())},
	}}
	if s.Method != http.MethodGet {
		o["requestBody"] = object{"required": true, "content": content("application/json", s.Asks)}
		return o
	}
	parameters := []object{}
	for _, f := range reflect.VisibleFields(s.Asks) {
		if !f.Anonymous {
			name := cmp.Or(f.Tag.Get("json"), strings.ToLower(f.Name))
			parameters = append(parameters, object{"name": name, "in": "query", "schema": d.schema(f.Type)})
		}
	}
	o["parameters"] = parameters
	return o
}

// schema is what a value of a type is in JSON. A type that has a name and fields is described
// once, and referred to.
func (d *description) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[api.Lifetime]():
		return object{"oneOf": []object{{"type": "integer", "minimum": 0}, {"const": "infinite"}}, "description": d.words["Lifetime"]}
	case reflect.TypeFor[api.IAID]():
		return object{"type": "integer", "minimum": 0}
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.structure(t)
	}
	panic(fmt.Sprintf("openapi: %s is not described", t))
}

func (d *description) structure(t reflect.Type) object {
	name := t.Name()
	if name != "" && d.schemas[name] == nil {
		d.schemas[name] = object{} // it may refer to itself
		d.schemas[name] = d.fields(t)
	}
	if name == "" {
		return d.fields(t)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func (d *description) fields(t reflect.Type) object {
	properties, required := object{}, []string{}
	d.add(t, properties, &required)
	o := object{"type": "object", "properties": properties, "required": required}
	if words := d.words[t.Name()]; words != "" {
		o["description"] = words
	}
	return o
}

// add adds the fields of a struct, and of those that are embedded in it.
func (d *description) add(t reflect.Type, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
			continue
		case f.Anonymous && name == "":
			d.add(f.Type, properties, required)
			continue
		case name == "":
			panic(fmt.Sprintf("openapi: %s.%s has no name in JSON", t, f.Name))
		}
		s := d.schema(f.Type)
		if words := cmp.Or(d.words[t.Name()+"."+f.Name], f.Tag.Get("help")); words != "" {
			s["description"] = words
		}
		properties[name] = s
		if options == "" {
			*required = append(*required, name)
		}
	}
}

package metrics

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// tagged are the metrics that the fields of T name by their tags, those of the
// structs in it included. Package api has the tags beside the names in JSON, so that
// a figure is declared once:
//
//	counter, gauge  the metric's name, without "fairlead_"
//	help            what Prometheus tells of it; of several fields with one name, the first has it
//	labels          a label with a fixed value, "direction=sent"
//	by              the label that the keys of a map are values of
//
// A bool is 1 or 0, a time the seconds since 1970 or absent, a slice its length.
// What has to be computed has no tag, but a metric in this package.
func tagged[T any]() []metric[T] {
	var all []metric[T]
	for _, f := range fieldsOf(reflect.TypeFor[T](), nil) {
		m := metric[T]{name: f.Tag.Get("counter"), help: f.Tag.Get("help"), kind: counter}
		if m.name == "" {
			m.name, m.kind = f.Tag.Get("gauge"), gauge
		}
		label, fixed, isFixed := strings.Cut(f.Tag.Get("labels"), "=")
		var values []string
		if isFixed {
			m.labels, values = []string{label}, []string{fixed}
		}
		if by := f.Tag.Get("by"); by != "" {
			m.labels = append(m.labels, by)
		}
		index := f.Index
		m.read = func(snapshot *T, emit emit) {
			show(reflect.ValueOf(snapshot).Elem().FieldByIndex(index), emit, values)
		}
		i := slices.IndexFunc(all, func(other metric[T]) bool { return other.name == m.name })
		if i < 0 {
			all = append(all, m)
			continue
		}
		first := all[i].read
		all[i].read = func(snapshot *T, emit emit) {
			first(snapshot, emit)
			m.read(snapshot, emit)
		}
	}
	return all
}

// fieldsOf are the fields of a struct that have a metric. The index of each begins at the
// outermost struct.
func fieldsOf(of reflect.Type, at []int) (found []reflect.StructField) {
	for i := range of.NumField() {
		f := of.Field(i)
		f.Index = append(slices.Clip(at), i)
		switch {
		case f.Tag.Get("counter") != "" || f.Tag.Get("gauge") != "":
			found = append(found, f)
		case f.Type.Kind() == reflect.Struct && f.IsExported():
			found = append(found, fieldsOf(f.Type, f.Index)...)
		}
	}
	return found
}

// show emits the value of a field.
func show(v reflect.Value, emit emit, labels []string) {
	switch value := v.Interface().(type) {
	case bool:
		emit(truth(value), labels...)
	case int:
		emit(float64(value), labels...)
	case uint64:
		emit(float64(value), labels...)
	case time.Time:
		at(value, emit, labels...)
	case map[string]uint64:
		spread(value, emit, labels...)
	default:
		if v.Kind() != reflect.Slice {
			panic(fmt.Sprintf("metrics: a field of type %s cannot be shown", v.Type())) // the golden tests show each field
		}
		emit(float64(v.Len()), labels...)
	}
}

// eachOf are metrics of each T in a snapshot. Their first label names the T.
func eachOf[S, T any](label string, many func(snapshot *S, do func(which string, one *T)), metrics []metric[T]) []metric[S] {
	all := make([]metric[S], len(metrics))
	for i, m := range metrics {
		all[i] = metric[S]{m.name, m.help, m.kind, append([]string{label}, m.labels...), func(snapshot *S, emit emit) {
			many(snapshot, func(which string, one *T) {
				m.read(one, func(value float64, labels ...string) { emit(value, append([]string{which}, labels...)...) })
			})
		}}
	}
	return all
}

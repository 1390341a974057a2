package ipsec

import (
	"fmt"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/core/hop"
)

// message is a section as VICI carries it.
func message(s hop.Section) (*vici.Message, error) {
	m := vici.NewMessage()
	for _, e := range s {
		if err := set(m, e); err != nil {
			return nil, fmt.Errorf("strongswan: %s: %w", e.Key, err)
		}
	}
	return m, nil
}

func set(m *vici.Message, e hop.Entry) error {
	switch {
	case e.Section != nil:
		inner, err := message(e.Section)
		if err != nil {
			return err
		}
		return m.Set(e.Key, inner)
	case e.Blobs != nil:
		all := make([]string, len(e.Blobs))
		for i := range e.Blobs {
			all[i] = string(e.Blobs[i].DER)
		}
		return m.Set(e.Key, all)
	case e.List != nil:
		return m.Set(e.Key, e.List)
	}
	return m.Set(e.Key, e.Text)
}

// parameters makes a message of values and lists. pairs has the keys and values in turn.
func parameters(pairs ...any) (*vici.Message, error) {
	m := vici.NewMessage()
	for i := 0; i < len(pairs); i += 2 {
		if err := m.Set(fmt.Sprint(pairs[i]), pairs[i+1]); err != nil {
			return nil, fmt.Errorf("strongswan: %v: %w", pairs[i], err)
		}
	}
	return m, nil
}

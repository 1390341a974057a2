package server6

import (
	"bytes"
	"encoding/binary"

	"fairlead/internal/wire/dhcp6"
)

// classify finds the classes of the client.
func (s *Server) classify(r *request) {
	for i := range s.cfg.Classes {
		of := true
		for j := range s.cfg.Classes[i].Tests {
			of = of && s.cfg.Classes[i].Tests[j].holds(r)
		}
		r.classes = append(r.classes, of)
	}
}

// mayHave reports whether a client is of a class. The class is its index in Config.Classes, or
// anyClass.
func (r *request) mayHave(class int) bool { return class == anyClass || r.classes[class] }

func (t *Test) holds(r *request) bool {
	if !t.Relay {
		return t.in(r.m.Options())
	}
	for i := range r.layers {
		if t.in(r.layers[i].Options()) {
			return true
		}
	}
	return false
}

func (t *Test) in(options dhcp6.Options) bool {
	for c, payload := range options.All() {
		if c == t.Option && t.matches(payload) {
			return true
		}
	}
	return false
}

func (t *Test) matches(payload []byte) bool {
	switch t.Option {
	case dhcp6.OptionVendorClass:
		v, err := dhcp6.ParseVendorClass(payload)
		return err == nil && (t.Enterprise == 0 || v.EnterpriseNumber == t.Enterprise) && hasField(v.Data, t.Contains)
	case dhcp6.OptionUserClass:
		data, err := dhcp6.ParseUserClass(payload)
		return err == nil && hasField(data, t.Contains)
	case dhcp6.OptionClientArchitectures:
		known, err := dhcp6.ParseClientArchitectures(payload)
		return err == nil && len(t.Contains) == 2 && known.Contains(binary.BigEndian.Uint16(t.Contains))
	}
	return bytes.Contains(payload, t.Contains)
}

// hasField reports whether one field of a class option is equal to data.
func hasField(fields dhcp6.ClassData, data []byte) bool {
	for field := range fields.All() {
		if bytes.Equal(field, data) {
			return true
		}
	}
	return false
}

package dhcp4

import (
	"errors"
	"strconv"
)

// The causes that an *Error wraps. Callers use errors.Is.
var (
	// ErrTruncated: the octets end before the end of the field or option.
	ErrTruncated = errors.New("truncated")
	// ErrMalformed: the octets are there, and have no valid meaning.
	ErrMalformed = errors.New("malformed")
	// ErrTooBig: what was built does not fit its length field.
	ErrTooBig = errors.New("too big")
)

// Error tells where octets were refused. The parsers of this package return no other type of
// error.
type Error struct {
	Option    OptionCode    // the option that was read or written; 0 outside any option
	SubOption SubOptionCode // the sub-option of option 82; 0 outside any sub-option
	Field     string        // the field, as the RFC names it; empty for the option as a whole
	Offset    int           // octets from the start of the input of the parser or builder
	Err       error         // ErrTruncated, ErrMalformed or ErrTooBig
}

// Error is of the form "dhcp4: option 82 sub-option 12 at octet 8: truncated".
func (e *Error) Error() string {
	s := "dhcp4: "
	if e.Option != 0 {
		s += "option " + strconv.Itoa(int(e.Option)) + " "
	}
	if e.SubOption != 0 {
		s += "sub-option " + strconv.Itoa(int(e.SubOption)) + " "
	}
	if e.Field != "" {
		s += e.Field + " "
	}
	return s + "at octet " + strconv.Itoa(e.Offset) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

package dhcp4

import (
	"errors"
	"strconv"
)

// The causes that an *Error wraps; test for them with errors.Is.
var (
	// ErrTruncated: the octets end before the field or option that they announce.
	ErrTruncated = errors.New("truncated")
	// ErrMalformed: the octets are there and cannot mean anything.
	ErrMalformed = errors.New("malformed")
	// ErrTooBig: what was built does not fit into its length field.
	ErrTooBig = errors.New("too big")
)

// Error says where octets were refused. The parsers of this package return no
// other error type.
type Error struct {
	Option    OptionCode    // the option that was read or written; 0 outside any option
	SubOption SubOptionCode // the sub-option of option 82; 0 outside any sub-option
	Field     string        // the field in the RFC's words; empty for the option as a whole
	Offset    int           // octets from the start of what the parser or builder was given
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

package netlink

import (
	"errors"
	"slices"
	"testing"

	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Only the last request of a batch asks for an answer. If that answer is missing, nothing is
// known of the requests that were not refused.
func TestSilenceIsSuccessOnlyBeforeAnAnswer(t *testing.T) {
	lost, refused := bulk.ErrNoAnswer, error(&bulk.Refusal{Errno: unix.EEXIST})
	for _, c := range []struct{ answers, want []error }{
		{[]error{nil, refused, nil}, []error{nil, refused, nil}},
		{[]error{nil, nil, refused}, []error{nil, nil, refused}},
		{[]error{nil, refused, lost}, []error{lost, refused, lost}},
		{[]error{lost}, []error{lost}},
	} {
		got := slices.Clone(c.answers)
		doubtSilence(got)
		if !slices.EqualFunc(got, c.want, errors.Is) {
			t.Errorf("%v: %v, want %v", c.answers, got, c.want)
		}
	}
}

package lab_test

import (
	"fmt"
	"syscall"
	"testing"

	"fairlead/internal/lab"
)

// What the kernel refuses for a moment is sent again. Any other error ends the sending.
func TestInsist(t *testing.T) {
	refusals := []error{syscall.EINVAL, syscall.ENOBUFS, syscall.EADDRNOTAVAIL, syscall.ENETUNREACH}
	for _, last := range []error{nil, syscall.EPERM} {
		tries := 0
		err := lab.Insist(func() error {
			if tries++; tries <= len(refusals) {
				return fmt.Errorf("send: %w", refusals[tries-1])
			}
			return last
		})
		if err != last || tries != len(refusals)+1 {
			t.Errorf("%d tries and error %v, want %d and %v", tries, err, len(refusals)+1, last)
		}
	}
}

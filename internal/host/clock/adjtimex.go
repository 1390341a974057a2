package clock

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Status is what the kernel tells of its wall clock.
type Status struct {
	Synchronised   bool   // a time daemon adjusts it; no more is known
	State          string // "ok", "insert-leap", "delete-leap", "leap", "after-leap", "unsynchronised", or "state-N"
	OffsetNanos    int64  // still to be corrected by the kernel
	MaxErrorMicros int64  // upper bound of the error; it grows while nobody corrects the clock
	EstErrorMicros int64  // the daemon's own estimate
}

// Adjtimex asks the kernel for the state of the wall clock. It changes nothing
// and needs no capability. Seccomp filters may refuse it: the error is then
// unix.EPERM.
func Adjtimex() (Status, error) { return system.status() }

func (s *source) status() (Status, error) {
	var tx unix.Timex // Modes 0: read only
	state, err := s.kernel(&tx)
	if err != nil {
		return Status{}, fmt.Errorf("adjtimex: %w", err)
	}
	offset := int64(tx.Offset) // 32 bits wide on some machines
	if tx.Status&unix.STA_NANO == 0 {
		offset *= 1000
	}
	return Status{
		Synchronised:   state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0,
		OffsetNanos:    offset,
		MaxErrorMicros: int64(tx.Maxerror),
		EstErrorMicros: int64(tx.Esterror),
		State:          stateName(state),
	}, nil
}

func stateName(state int) string {
	switch state {
	case unix.TIME_OK:
		return "ok"
	case unix.TIME_INS:
		return "insert-leap"
	case unix.TIME_DEL:
		return "delete-leap"
	case unix.TIME_OOP:
		return "leap"
	case unix.TIME_WAIT:
		return "after-leap"
	case unix.TIME_ERROR:
		return "unsynchronised"
	}
	return fmt.Sprintf("state-%d", state)
}

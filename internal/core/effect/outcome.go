package effect

import (
	"errors"

	"fairlead/internal/core/hoststate"
)

// Outcome is what became of a Change. Both errors nil: kept and installed.
type Outcome struct {
	ID      ChangeID
	Keep    error
	Install []FailedOp // operations that failed; the others were carried out
}

// FailedOp is an operation that the kernel refused.
type FailedOp struct {
	Op  hoststate.Op
	Err error
}

// ErrTaken, wrapped by Outcome.Keep, says that a record was not what its KeepOp expected,
// because another writer of the same store was faster. The core decides again. A store
// with one writer never returns it.
var ErrTaken = errors.New("taken by another")

// ErrRefused, wrapped by a FailedOp's error, says that the kernel takes no route
// over that link now: the device is down or gone.
var ErrRefused = errors.New("route refused")

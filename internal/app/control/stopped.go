package control

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Stopped is an error if a process takes connections at a control socket: what is
// in the kernel is then its own, and it would put back what somebody else takes
// away. program and unit say in words and for systemd which one it is.
func Stopped(socket, program, unit string) error {
	c, err := net.DialTimeout("unix", socket, time.Second)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("%s runs, and listens at %s: stop it first (systemctl stop %s)", program, socket, unit), c.Close())
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return nil
	}
	return fmt.Errorf("control socket: whether %s runs: %w", program, err)
}

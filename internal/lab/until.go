package lab

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// pace is how often Until looks.
const pace = 20 * time.Millisecond

// Until calls done until it returns true, and fails when the limit has passed. what names the
// condition, for the error, such as "the route is there".
//
// The limit is for a condition that will never come true, not for a slow
// machine: make it long.
func Until(limit time.Duration, what string, done func() bool) error {
	start := time.Now()
	for !done() {
		if time.Since(start) > limit {
			return fmt.Errorf("waited %v in vain until %s", limit, what)
		}
		time.Sleep(pace)
	}
	return nil
}

// Momentary reports whether an error of a send may be gone after a moment. The whole machine has
// one neighbour table: while it is full of the entries of others, a send returns EINVAL or
// ENOBUFS. A link that has just come up has no address and no route.
func Momentary(err error) bool {
	return slices.ContainsFunc([]error{syscall.EINVAL, syscall.ENOBUFS, syscall.EADDRNOTAVAIL, syscall.ENETUNREACH}, func(e error) bool {
		return errors.Is(err, e)
	})
}

// Insist calls send again as long as the kernel refuses it for a moment, and returns the last
// error.
func Insist(send func() error) error {
	var err error
	for start := time.Now(); ; time.Sleep(pace) {
		if err = send(); !Momentary(err) || time.Since(start) > linkLocalWait {
			return err
		}
	}
}

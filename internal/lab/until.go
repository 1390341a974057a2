package lab

import (
	"fmt"
	"time"
)

// pace is how often Until looks.
const pace = 20 * time.Millisecond

// Until calls done until it returns true, and fails when the limit has passed.
// What names the condition, for the error: "the route is there".
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

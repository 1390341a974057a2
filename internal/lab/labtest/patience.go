//go:build !vm

package labtest

import "time"

// Patience is for conditions that a slow machine may take long to reach.
const Patience = 60 * time.Second

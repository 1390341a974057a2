//go:build vm

package labtest

import "time"

// Patience is for conditions that an emulated machine may take long to reach.
const Patience = 3 * time.Minute

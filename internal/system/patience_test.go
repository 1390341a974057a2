package system_test

import "time"

// patience is for conditions that a slow machine may take long to reach.
const patience = 60 * time.Second

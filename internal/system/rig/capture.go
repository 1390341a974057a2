package rig

import (
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
)

// Capture is a recording.
type Capture struct {
	*capture.Capture
	net *Net
}

// Wait waits until packets that match a tshark filter are recorded, and returns fields of each.
func (c *Capture) Wait(filter string, fields ...string) [][]string {
	c.net.T.Helper()
	return must[[][]string](c.net)(c.Capture.Wait(labtest.Patience, filter, fields...))
}

// Fields returns fields of the packets that match a tshark filter.
func (c *Capture) Fields(filter string, fields ...string) [][]string {
	c.net.T.Helper()
	return must[[][]string](c.net)(c.Capture.Fields(filter, fields...))
}

// Stop ends the recording.
func (c *Capture) Stop() {
	c.net.T.Helper()
	c.net.Need(c.Capture.Stop())
}

// Check ends the recording, and fails unless all messages in it are well formed.
func (c *Capture) Check() {
	c.net.T.Helper()
	c.Stop()
	c.net.Need(c.Capture.Check())
}

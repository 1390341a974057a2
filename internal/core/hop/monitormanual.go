package hop

import (
	"time"

	"fairlead/internal/core/instant"
)

// The standing warnings about manual keys (RFC 8213 section 4).
const (
	WarnReplay = "manual keys: replayed packets are not detected"
	WarnAge    = "manual keys: older than 90 days, which gives time to find them out"
)

// oldKey is when a manual key is reported as old.
const oldKey = 90 * 24 * time.Hour

// observeManual looks at a hop whose keys are in the configuration, and returns
// what is wrong with it.
func (w *watched) observeManual(now instant.Now, v *view) string {
	m := w.hop.Manual
	made := m.Out.Made
	for _, in := range m.In {
		if in.Made.Before(made) {
			made = in.Made
		}
	}
	w.state.Algorithms, w.state.Age = m.Out.Suite.String(), now.Wall.Sub(made)
	w.state.Warnings = append(w.state.Warnings, WarnReplay)
	if w.state.Age > oldKey {
		w.state.Warnings = append(w.state.Warnings, WarnAge)
	}
	if v.Kernel == nil {
		return noKernel + v.KernelError
	}
	children := map[uint32]ChildSA{}
	out := v.state(w.hop.Remote, m.Out.SPI)
	missing := out == nil
	if out != nil {
		children[m.Out.SPI] = ChildSA{Out: out.Traffic}
	}
	for _, sa := range m.In {
		in := v.state(w.hop.Local, sa.SPI)
		missing = missing || in == nil
		if in != nil {
			c := children[sa.SPI]
			c.In = in.Traffic
			children[sa.SPI] = c
		}
	}
	w.total(children)
	if missing || !w.hasPolicies(v) {
		return noManual
	}
	return ""
}

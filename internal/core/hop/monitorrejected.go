package hop

import "fairlead/internal/core/instant"

// Why packets in ESP were rejected. The reasons do not show who sent the packets, so
// they do not count as a fault of the hop.
const (
	unauthentic = "packets fail authentication: the peer has another key, or they are forged"
	replayed    = "packets came twice: they are replayed"
)

// countRejected counts the hop's incoming packets that the kernel has rejected.
func (w *watched) countRejected(now instant.Now, v *view) {
	if v.Kernel == nil {
		return
	}
	r := v.rejected[flow{w.hop.Remote, w.hop.Local}]
	if r.forged > w.rejected.forged {
		w.state.Rejected += r.forged - w.rejected.forged
		w.fail(now, unauthentic)
	}
	if r.replayed > w.rejected.replayed {
		w.state.Rejected += r.replayed - w.rejected.replayed
		w.fail(now, replayed)
	}
	w.rejected = r
}

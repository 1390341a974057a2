package hop

import "fairlead/internal/core/instant"

// Why packets in ESP were rejected. Nothing can be told from it of who sent them, so
// it is none of a problem of the hop's.
const (
	unauthentic = "packets fail authentication: the peer has another key, or they are forged"
	replayed    = "packets came twice: they are replayed"
)

// countRejected takes in what the kernel has thrown away of what came for the hop.
func (w *watched) countRejected(now instant.Now, k *Kernel) {
	if k == nil {
		return
	}
	forged, again := uint64(0), uint64(0)
	for i := range k.States {
		if s := &k.States[i]; s.Source == w.hop.Remote && s.Dest == w.hop.Local {
			forged += s.AuthErrors
			again += s.ReplayErrors
		}
	}
	if forged > w.forged {
		w.state.Rejected += forged - w.forged
		w.fail(now, unauthentic)
	}
	if again > w.replayed {
		w.state.Rejected += again - w.replayed
		w.fail(now, replayed)
	}
	w.forged, w.replayed = forged, again
}

package daemon

import (
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// backlog says when so many changes are on their way through the pipeline that
// what is added would be answered late. Then the intake holds back what asks for
// more of them: to decide on a message whose answer comes after its client has
// given up costs as much as to serve another.
type backlog struct {
	since instant.Instant // of the changes that are counted
	done  int             // since then
	rate  int             // done in worthWhile, when it was last measured
}

const (
	worthWhile   = 50 * time.Millisecond // of work that may be ahead of a change
	leastBacklog = 1024                  // changes that may always be under way: a slow disk takes many at a time
)

// settled counts changes that were carried out.
func (b *backlog) settled(now instant.Instant, changes int) {
	if took := time.Duration(now - b.since); took >= worthWhile {
		b.rate = int(int64(b.done) * int64(worthWhile) / int64(took))
		b.since, b.done = now, 0
	}
	b.done += changes
}

// full reports whether so many changes are too many.
func (b *backlog) full(underway int) bool { return underway > max(leastBacklog, b.rate) }

// hold has the intake hold back what asks for changes while there are too many,
// or too many jobs of few changes each, and let go of it afterwards.
func (l *loop) hold() {
	full := l.backlog.full(l.inflight) || len(l.pipe.jobs) > maxJobs/2
	if full == l.holds {
		return
	}
	l.holds = full
	l.intake.hold(full)
	l.released = l.released || !full
}

// maxLayers is how many messages are in one at most: relay agents', and a client's.
const maxLayers = dhcp6.HopCountLimit + 1

// asksForChange reports whether what a server answers to a message is likely to
// change a delegation. A Solicit with rapid commit may as well; that one is not
// worth a look at the options of all others.
func asksForChange(message []byte) bool {
	for range maxLayers {
		if len(message) == 0 {
			return false
		}
		switch dhcp6.MessageType(message[0]) {
		case dhcp6.Request, dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Decline:
			return true
		case dhcp6.RelayForward:
			layer, err := dhcp6.ParseRelay(message)
			if err != nil {
				return false
			}
			message, _ = layer.Inner()
		default:
			return false
		}
	}
	return false
}

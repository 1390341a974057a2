package network

import (
	"testing"
	"time"

	"fairlead/internal/app/api"

	"github.com/google/go-cmp/cmp"
)

// A server that has never answered is shown after eight messages. A server that has answered
// before is not, nor a relay below us, which owes no answer. A peer that lacks its protection is
// not shown either: it is clear why it does not answer.
func TestServerThatNeverAnswered(t *testing.T) {
	peer := func(role string, sinceAnswer uint64) api.Peer {
		return api.Peer{PeerProtection: api.PeerProtection{Name: "p", Role: role, Protection: "none"}, PeerCounters: api.PeerCounters{SinceAnswer: sinceAnswer}}
	}
	heard := func(p api.Peer) api.Peer { p.Answered = true; return p }
	silent := heard(peer("server", 9))
	silent.SilentSince = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	unreachable := heard(peer("server", 1))
	unreachable.Failure = "no route to host"
	exposed := peer("server", 8)
	exposed.Protection = "ipsec"
	protected := exposed
	protected.Protected = true
	for what, c := range map[string]struct {
		peer api.Peer
		want []string
	}{
		"seven messages":       {peer("server", 7), nil},
		"eight messages":       {peer("server", 8), []string{"peer p: has never answered, 8 messages were sent"}},
		"it answered before":   {heard(peer("server", 8)), nil},
		"a relay":              {peer("relay", 8), nil},
		"it has fallen silent": {silent, []string{"peer p: silent since 05:06:07, 9 messages without an answer"}},
		"without its IPsec":    {exposed, nil},
		"with its IPsec":       {protected, []string{"peer p: has never answered, 8 messages were sent"}},
		"it cannot be reached": {unreachable, []string{"peer p: cannot be reached: no route to host"}},
	} {
		if diff := cmp.Diff(c.want, Unanswered(&c.peer)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
}

package delegation_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
)

// full is a table with one link, whose limit two prefixes of alice's meet, or
// those that another policy allows.
func full(t *testing.T) (*delegation.Table, *delegation.Policy, func(client string, hop netip.Addr, p netip.Prefix, answered map[binding.Question]bool) []binding.Event) {
	t.Helper()
	table := delegation.New()
	policy := &delegation.Policy{ClientLimit: 2, LinkLimit: 2, OnLimit: delegation.LimitReplaceUnreachable}
	learn := func(client string, hop netip.Addr, p netip.Prefix, answered map[binding.Question]bool) []binding.Event {
		return table.Learn(nil, instant.Now{Boot: 1}, delegation.Grant{
			Link: "lan0", Prefix: p, Client: binding.DUID(client), NextHop: hop, Preferred: time.Hour, Lifetime: time.Hour,
		}, delegation.Terms{Policy: policy, Answered: answered, Reserved: func(*delegation.Grant) bool { return false }})
	}
	for _, p := range modelPrefix[3:6] {
		if p.Bits() != 56 {
			continue
		}
		if got := learn("alice", modelHops[0], p, nil); len(got) != 1 || got[0].Kind != binding.Granted {
			t.Fatalf("%v: %+v", p, got)
		}
	}
	return table, policy, learn
}

var silent = map[binding.Question]bool{{NextHop: binding.NextHop{Link: "lan0", Addr: modelHops[0]}}: false}

// A client's own limit is no reason to end another's delegations.
func TestNoEvictionForAClientsOwnLimit(t *testing.T) {
	_, policy, learn := full(t)
	policy.LinkLimit = 4
	learn("bob", modelHops[1], modelPrefix[6], nil)
	learn("bob", modelHops[1], modelPrefix[7], nil)
	got := learn("bob", modelHops[1], modelPrefix[1], silent) // alice is silent, and the link is full as well
	if len(got) != 1 || got[0].Kind != binding.Refused || got[0].Reason != binding.LimitClient {
		t.Errorf("events %+v, want one refusal for limit-client", got)
	}
}

// Nobody is evicted who was not asked, or who answered.
func TestNoEvictionOfWhoAnswers(t *testing.T) {
	for _, answered := range []map[binding.Question]bool{nil, {{NextHop: binding.NextHop{Link: "lan0", Addr: modelHops[0]}}: true}} {
		_, _, learn := full(t)
		got := learn("bob", modelHops[1], modelPrefix[6], answered)
		if len(got) != 1 || got[0].Reason != binding.LimitLink {
			t.Errorf("asked %v: events %+v, want one refusal for limit-link", answered, got)
		}
	}
}

// What a grant takes over from the silent client is moved, not evicted.
func TestEvictionSparesWhatIsTakenOver(t *testing.T) {
	table, _, learn := full(t)
	got := learn("bob", modelHops[1], modelPrefix[3], silent)
	if len(got) != 1 || got[0].Kind != binding.Moved {
		t.Errorf("events %+v, want one move: it needs no room", got)
	}
	got = learn("bob", modelHops[1], modelPrefix[6], silent)
	if len(got) != 2 || got[0].Reason != binding.Evicted || got[1].Kind != binding.Granted {
		t.Errorf("events %+v, want an eviction and a grant", got)
	}
	if n := table.Len(binding.Prefix); n != 2 {
		t.Errorf("%d prefixes, want 2", n)
	}
}

// A limit that was lowered since: what is taken over is not ended on the way.
func TestEvictionUnderALoweredLimit(t *testing.T) {
	table, policy, learn := full(t)
	policy.LinkLimit = 1
	got := learn("bob", modelHops[1], modelPrefix[3], silent)
	if len(got) != 2 || got[0].Reason != binding.Evicted || got[0].Old.Prefix != modelPrefix[5] || got[1].Kind != binding.Moved {
		t.Errorf("events %+v, want the other prefix evicted and this one moved", got)
	}
	if n := table.Len(binding.Prefix); n != 1 {
		t.Errorf("%d prefixes, want 1", n)
	}
}

package loadgen_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

// These grant nothing: an IA that is not the client's, and lifetimes of 0.
func TestNoGrant(t *testing.T) {
	for name, c := range map[string]struct {
		iaid  uint32
		valid dhcp6.Lifetime
	}{"another IAID": {loadgen.IAID + 1, 100}, "valid for 0 s": {loadgen.IAID, 0}} {
		for _, code := range []dhcp6.OptionCode{dhcp6.OptionIANA, dhcp6.OptionIAPD} {
			r := newRig(t, 1, "request")
			r.meet()
			r.hear(1, r.say(loadgen.Request), dhcp6.Reply, func(b []byte) []byte {
				b, mark := dhcp6.BeginIA(b, code, c.iaid, 0, 0)
				if code == dhcp6.OptionIANA {
					b = dhcp6.AppendIAAddr(b, dhcp6.IAAddr{Address: netip.MustParseAddr("2001:db8::1"), Valid: c.valid})
				} else {
					b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{Prefix: netip.MustParsePrefix("2001:db8::/56"), Valid: c.valid})
				}
				b, _ = dhcp6.EndOption(b, mark)
				return b
			})
			if r.Holders() != 0 {
				t.Errorf("%s, %s: %d holders", name, code, r.Holders())
			}
			r.say(loadgen.Request) // it is free to ask again
		}
	}
}

// If a Renew is answered after the client has sent a Release, the client holds nothing because of
// that answer.
func TestRenewAfterRelease(t *testing.T) {
	r := newRig(t, 1, "request,renew,release")
	r.meet()
	r.grant("2001:db8:100::/56")
	renew, release := r.say(loadgen.Renew), r.say(loadgen.Release)
	r.hear(1, renew, dhcp6.Reply, granting("2001:db8:100::/56"))
	if r.Holders() != 0 {
		t.Error("it holds what it has released")
	}
	r.hear(1, release, dhcp6.Reply, nil)
	if m := r.say(loadgen.Request); m.Client != 7000 {
		t.Errorf("client %d asks", m.Client)
	}
}

// The number of a message from long ago belongs to no message any more.
func TestUnsentLongAgo(t *testing.T) {
	r := newRig(t, 1, "solicit")
	old := r.say(loadgen.Solicit)
	r.hear(1, old, dhcp6.Advertise, nil)
	for range 1024 { // as many as are remembered: the last one takes its place
		r.say(loadgen.Solicit)
	}
	before := r.Underway()
	r.Unsent(old.Number)
	if r.Underway() != before {
		t.Errorf("%d under way, want %d", r.Underway(), before)
	}
}

// The pool agrees with simple lists of who holds something and of who comes next, over thousands
// of random steps.
func TestPoolModel(t *testing.T) {
	const clients = 12
	r := newRig(t, clients, "request,renew,release,rapid")
	r.meet()
	random := rand.New(rand.NewPCG(7, 7))
	var line []uint32 // the clients that wait for a delegation, in order
	for n := range uint32(clients) {
		line = append(line, 7000+n)
	}
	held := map[uint32]string{}
	for step := range 5000 {
		prefix := fmt.Sprintf("2001:db8:%x::/56", 1+random.IntN(60000))
		switch random.IntN(4) {
		case 0:
			for len(line) > 0 && held[line[0]] != "" { // this client was granted one while it waited
				line = line[1:]
			}
			b, m, ok := r.Begin(nil, loadgen.Request, r.now, r.now)
			if ok != (len(line) > 0) {
				t.Fatalf("step %d: a Request: %v, and %v wait", step, ok, line)
			}
			if !ok {
				continue
			}
			if m.Client != line[0] {
				t.Fatalf("step %d: client %d asks, want %v", step, m.Client, line)
			}
			line = line[1:]
			r.hear(1, r.read(m, b), dhcp6.Reply, granting(prefix))
			held[m.Client] = prefix
		case 1:
			if len(held) == 0 {
				continue
			}
			m := r.say(loadgen.Renew)
			if heldPrefix(m) != held[m.Client] || held[m.Client] == "" {
				t.Fatalf("step %d: client %d renews %q, has %q", step, m.Client, heldPrefix(m), held[m.Client])
			}
			r.hear(1, m, dhcp6.Reply, granting(prefix))
			held[m.Client] = prefix
		case 2:
			if len(held) == 0 {
				continue
			}
			m := r.say(loadgen.Release)
			if heldPrefix(m) != held[m.Client] || held[m.Client] == "" {
				t.Fatalf("step %d: client %d releases %q, has %q", step, m.Client, heldPrefix(m), held[m.Client])
			}
			delete(held, m.Client)
			r.hear(1, m, dhcp6.Reply, nil)
			if !slices.Contains(line, m.Client) {
				line = append(line, m.Client)
			}
		case 3:
			m := r.say(loadgen.Rapid)
			r.hear(1, m, dhcp6.Reply, granting(prefix))
			held[m.Client] = prefix
		}
		if r.Holders() != len(held) {
			t.Fatalf("step %d: %d holders, want %d", step, r.Holders(), len(held))
		}
	}
	// Each holder has its turn.
	seen := map[uint32]bool{}
	for range held {
		seen[r.say(loadgen.Rebind).Client] = true
	}
	if len(seen) != len(held) {
		t.Errorf("%d clients rebind in a round, want %d", len(seen), len(held))
	}
}

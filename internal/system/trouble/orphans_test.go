package trouble_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// unexplained is what the relay says of prefixes that its store does not explain.
func (r *network) unexplained() (prefixes []string) {
	r.T.Helper()
	var all []struct{ Prefix, Source, Client string }
	r.Fairlead.Show(&all, "delegations")
	for _, d := range all {
		if d.Source == "kernel" && d.Client == "" {
			prefixes = append(prefixes, d.Prefix)
		}
	}
	return prefixes
}

// pass waits until traffic passes between the server and addresses of clients, there
// and back.
func (r *network) pass(inside ...netip.Addr) {
	r.T.Helper()
	for _, a := range inside {
		r.Server.Reaches(netip.Addr{}, a)
	}
}

// TestStateFolderIsLost: where the state folder is a new one, what was routed stays
// routed and permitted, is told of, and is taken over by its client's next message;
// an operator ends the rest. With its own store, and after a flush, the store is
// believed.
func TestStateFolderIsLost(t *testing.T) {
	r := start(t, plan{clients: 2})
	first, second := r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))
	held := r.obtain(first, 1)
	r.obtain(second, 1)
	p1, p2 := r.book.Prefix(rig.DUID(1), 1), r.book.Prefix(rig.DUID(2), 1)
	r.WantRoute(p1, 1)
	r.WantRoute(p2, 2)
	inside1, inside2 := r.AddressIn(1, p1), r.AddressIn(2, p2)
	r.pass(inside1, inside2)
	withoutID := func() string { // the id of the store is another one each time
		words := strings.Fields(r.elements())
		return strings.Join(slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "store-") }), " ")
	}
	elements := withoutID()
	watch := r.Relay.Start("monitor", "ip", "-6", "monitor", "route")
	away := r.Fairlead.State + ".away"
	r.Fairlead.Stop()
	r.Need(os.Rename(r.Fairlead.State, away))

	r.Fairlead.Start()
	r.WantRoute(p1, 1)
	r.WantRoute(p2, 2)
	if got := withoutID(); got != elements {
		t.Errorf("the filter was\n%s\nand is\n%s", elements, got)
	}
	if got := r.unexplained(); len(got) != 2 {
		t.Errorf("not explained: %q, want both prefixes", got)
	}
	r.pass(inside1, inside2)
	r.Fairlead.Logged("level=WARN", "prefixes are routed that the store does not explain", "prefixes=2", "the store is new")
	text := r.Fairlead.CLI("status")
	for _, want := range []string{"2 prefixes unexplained until", "store: 2 prefixes are routed that it does not explain"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}
	if got := script.Delegations(r.extend(first, dhcp6.Renew, held)); len(got) != 1 || got[0].Prefix != p1 {
		t.Errorf("the Renew got %v, want %s", got, p1)
	}
	if got := r.unexplained(); len(got) != 1 || got[0] != p2.String() {
		t.Errorf("not explained: %q, want %s alone", got, p2)
	}
	if got := withoutID(); got != elements {
		t.Errorf("after the Renew the filter was\n%s\nand is\n%s", elements, got)
	}
	r.Fairlead.Restart()
	if got := r.unexplained(); len(got) != 1 || got[0] != p2.String() {
		t.Errorf("not explained after a restart: %q, want %s alone", got, p2)
	}
	r.WantRoute(p1, 1)
	r.WantRoute(p2, 2)
	r.pass(inside1, inside2)
	if log := watch.Log(); strings.Contains(log, "Deleted "+p1.Addr().String()) || strings.Contains(log, "Deleted "+p2.Addr().String()) {
		t.Errorf("a route was away for a while:\n%s", log)
	}
	r.Fairlead.CLI("clear", "--link", "d2")
	if got := r.routes(); got[p2] != "" || !strings.HasPrefix(got[p1], r.way(1)) {
		t.Errorf("after a clear the routes are %v", got)
	}
	if got := r.elements(); strings.Contains(got, p2.Addr().String()) {
		t.Errorf("after a clear the filter has\n%s", got)
	}
	r.pass(inside1)
	if r.Server.Ping(netip.Addr{}, inside2) == nil {
		t.Errorf("after a clear %s still answers", inside2)
	}

	// The first folder comes back: it explains both.
	r.Fairlead.Stop()
	r.Need(os.RemoveAll(r.Fairlead.State))
	r.Need(os.Rename(away, r.Fairlead.State))
	r.Fairlead.Start()
	if got := r.unexplained(); len(got) != 0 {
		t.Errorf("not explained by the store that granted it: %q", got)
	}
	r.WantRoute(p1, 1)
	r.WantRoute(p2, 2)

	// What the own, whole store does not explain goes at once.
	r.Fairlead.Stop()
	next := r.Client(2).LinkLocal("c0")
	r.Relay.IP("-6 route add 2001:db8:9900::/56 via %s dev d2 metric 8700 proto 87", next)
	r.Fairlead.Start()
	if len(r.routes()) != 2 {
		t.Errorf("the routes are %v, want those that the store explains", r.routes())
	}

	// Without a table in the kernel a new store is believed.
	r.Fairlead.Stop()
	r.Need(os.RemoveAll(r.Fairlead.State))
	r.Relay.Run("nft", "flush", "ruleset")
	r.Fairlead.Start()
	if len(r.routes()) != 0 {
		t.Errorf("after a flush and with a new store the routes are %v", r.routes())
	}
	r.Fairlead.Logged("level=WARN", "routes of ours that the store does not explain were removed", "had no filter table of ours", "routes=2")
}

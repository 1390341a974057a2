package metrics

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control/controltest"
)

// The metrics of a guard, as TestNames and TestScrape show those of the relay.
func TestGuardNames(t *testing.T) {
	testNames(t, "testdata/guard-metrics.txt", gatherFrom(t, newCollector(guardMetrics, watchfulGuard().Status)), len(guardMetrics))
}

func TestGuardScrape(t *testing.T) {
	testScrape(t, "testdata/guard-scrape.txt", guardHandler(watchfulGuard()))
}

// watchfulGuard is a guard in which every figure has a sample.
func watchfulGuard() *controltest.FakeGuard {
	fake := controltest.NewGuard()
	hop := controltest.IKEHop("loft")
	hop.Protected, hop.Problem = false, "no SA"
	fake.Overview.Peers = append(fake.Overview.Peers, api.PeerProtection{
		Name: "loft", Role: "server", Protection: "ipsec", Hops: []api.Hop{hop},
	})
	fake.Overview.Programs = []api.Program{{PID: 812, Name: "dhcpd", Problem: "reads a packet socket"}}
	fake.Overview.Degraded = []string{"peer loft: not protected"}
	return fake
}

// A metric that both have means the same: relay and guard are watched with the same rules.
func TestSharedMetrics(t *testing.T) {
	kind := make(map[string][]string)
	for _, m := range relayMetrics {
		kind[m.name] = m.labels
	}
	shared := 0
	for _, m := range guardMetrics {
		labels, ok := kind[m.name]
		if !ok {
			continue
		}
		shared++
		if !slices.Equal(labels, m.labels) {
			t.Errorf("%s: labels %q of the relay, %q of the guard", m.name, labels, m.labels)
		}
	}
	if shared < len(relayProtection) {
		t.Errorf("%d metrics are the relay's too, want %d at least", shared, len(relayProtection))
	}
}

// The figure of each hop follows its protection. A peer whose hops nobody has seen yet has a
// figure too, so that an alert on it works. A peer that requires no protection has none.
func TestPeerProtectedBothWays(t *testing.T) {
	up, down := controltest.IKEHop("kea1"), controltest.IKEHop("kea1+1")
	down.Protected = false
	fake := controltest.New()
	fake.Figures.Peers = []api.Peer{
		{PeerProtection: api.PeerProtection{Name: "kea1", Protection: "ipsec", Hops: []api.Hop{up, down}}},
		{PeerProtection: api.PeerProtection{Name: "kea2", Protection: "none"}},
		{PeerProtection: api.PeerProtection{Name: "kea3", Protection: "ipsec"}},
	}
	want := map[string]float64{"kea1 kea1": 1, "kea1 kea1+1": 0, "kea3 ": 0}
	families := gather(t, fake)
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "fairlead_peer_protected" })
	if i < 0 {
		t.Fatal("no fairlead_peer_protected")
	}
	if got := len(families[i].GetMetric()); got != len(want) {
		t.Errorf("%d samples, want %d", got, len(want))
	}
	for _, m := range families[i].GetMetric() {
		var hop, peer string
		for _, l := range m.GetLabel() {
			switch l.GetName() {
			case "hop":
				hop = l.GetValue()
			case "peer":
				peer = l.GetValue()
			}
		}
		if got := m.GetGauge().GetValue(); got != want[peer+" "+hop] {
			t.Errorf("peer %q, hop %q: %v, want %v", peer, hop, got, want[peer+" "+hop])
		}
	}
}

func TestGuardHealthz(t *testing.T) {
	fake := controltest.NewGuard()
	server := httptest.NewServer(guardHandler(fake))
	defer server.Close()
	if code, text := fetch(t, server.URL+"/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz: %d %q, want 200 ok", code, text)
	}
	fake.Overview.Degraded = []string{"peer attic: not protected"}
	if code, text := fetch(t, server.URL+"/healthz"); code != http.StatusOK || text != "degraded: peer attic: not protected\n" {
		t.Errorf("/healthz: %d %q, want 200 with the reason", code, text)
	}
	fake.Fail = errors.New("stuck")
	if code, text := fetch(t, server.URL+"/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "the guard does not answer: stuck") {
		t.Errorf("/healthz: %d %q, want 503 with the cause", code, text)
	}
	if code, text := fetch(t, server.URL+"/metrics"); code != http.StatusInternalServerError || !strings.Contains(text, "stuck") {
		t.Errorf("/metrics: %d %q, want 500 with the cause", code, text)
	}
}

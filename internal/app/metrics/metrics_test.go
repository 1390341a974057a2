package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
)

// golden compares with a file; with UPDATE=1 it is made what it should be, for review.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func gather(t *testing.T, b Backend) []*dto.MetricFamily {
	t.Helper()
	return gatherFrom(t, newCollector(relayMetrics, b.Counters))
}

func gatherFrom(t *testing.T, c prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry() // checks each metric against its description
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// Every metric, with its type, its labels and one sample each: the interface to
// those who alert on it.
func TestNames(t *testing.T) {
	testNames(t, "testdata/metrics.txt", gather(t, protectedRelay()), len(relayMetrics))
}

// protectedRelay is a relay with some of everything.
func protectedRelay() *controltest.Fake {
	fake := controltest.New()
	fake.Figures.Peers[0].Hops = []control.Hop{controltest.IKEHop("kea1")}
	fake.Figures.Strangers = control.Traffic{Packets: 91, Bytes: 9100}
	return fake
}

func testNames(t *testing.T, path string, families []*dto.MetricFamily, described int) {
	t.Helper()
	var b strings.Builder
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		fmt.Fprintf(&b, "%s %s {%s}\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ","))
	}
	golden(t, path, b.String())
	if got := strings.Count(b.String(), "\n"); got != described {
		t.Errorf("%d metrics have samples, %d are described: the sample must have some of each", got, described)
	}
}

// The same as Prometheus reads it, values included.
func TestScrape(t *testing.T) {
	testScrape(t, "testdata/scrape.txt", relayHandler(protectedRelay()))
}

func testScrape(t *testing.T, path string, h http.Handler) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	code, text := fetch(t, server.URL+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("code %d: %s", code, text)
	}
	var ours []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "fairlead_") && !strings.HasPrefix(line, "fairlead_build_info") {
			ours = append(ours, line)
		}
	}
	golden(t, path, strings.Join(ours, ""))
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", `fairlead_build_info{go="go1.`} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no %s in the scrape", name)
		}
	}
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// No label says who a client is: a series per client is memory without bound,
// and private.
func TestLabelsAreBounded(t *testing.T) {
	allowed := []string{"link", "direction", "type", "reason", "peer", "hop", "kind", "path", "outcome", "version", "go", "relay_id"}
	labels := make(map[string][]string)
	for _, m := range relayMetrics {
		labels[m.name] = m.labels
	}
	for _, m := range guardMetrics {
		labels[m.name] = append(labels[m.name], m.labels...)
	}
	for name, labels := range labels {
		for _, l := range labels {
			if !slices.Contains(allowed, l) {
				t.Errorf("%s: label %q is not among %q", name, l, allowed)
			}
		}
	}
}

// The kernel takes octets for a link's name that are no text; they must not cost
// the scrape.
func TestLinkNameThatIsNoText(t *testing.T) {
	fake := controltest.New()
	fake.Figures.Links[1].Link = "a\xff\xfeb"
	for _, f := range gather(t, fake) {
		if f.GetName() == "fairlead_link_up" {
			if got := f.GetMetric()[0].GetLabel()[0].GetValue(); got != "a?b" {
				t.Errorf("link %q, want a?b", got)
			}
		}
	}
}

// A relay without an answer makes the scrape fail: old or empty figures would
// look like health.
func TestNoAnswer(t *testing.T) {
	fake := controltest.New()
	fake.Fail = errors.New("the loop is stuck")
	server := httptest.NewServer(relayHandler(fake))
	defer server.Close()
	if code, text := fetch(t, server.URL+"/metrics"); code != http.StatusInternalServerError || !strings.Contains(text, "the loop is stuck") {
		t.Errorf("/metrics: %d %q, want 500 with the cause", code, text)
	}
	if code, text := fetch(t, server.URL+"/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "the loop is stuck") {
		t.Errorf("/healthz: %d %q, want 503 with the cause", code, text)
	}
}

func TestHealthz(t *testing.T) {
	fake := controltest.New()
	server := httptest.NewServer(relayHandler(fake))
	defer server.Close()
	if code, text := fetch(t, server.URL+"/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz: %d %q, want 200 ok", code, text)
	}
	fake.Overview.Degraded = []string{"store: full", "clock: not synchronised"}
	if code, text := fetch(t, server.URL+"/healthz"); code != http.StatusOK || text != "degraded: store: full; clock: not synchronised\n" {
		t.Errorf("/healthz: %d %q, want 200 with the reasons", code, text)
	}
	if code, _ := fetch(t, server.URL+"/"); code != http.StatusNotFound {
		t.Errorf("/: %d, want 404", code)
	}
}

// O-3 both ways: the figure follows the clock.
func TestClockBothWays(t *testing.T) {
	for _, synchronised := range []bool{true, false} {
		fake := controltest.New()
		fake.Figures.Clock.Synchronised = synchronised
		want := map[bool]float64{true: 1, false: 0}[synchronised]
		families := gather(t, fake)
		i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "fairlead_clock_synchronised" })
		if i < 0 {
			t.Fatal("no fairlead_clock_synchronised")
		}
		if got := families[i].GetMetric()[0].GetGauge().GetValue(); got != want {
			t.Errorf("synchronised %v: %v, want %v", synchronised, got, want)
		}
	}
}

func TestServeEnds(t *testing.T) {
	s, err := Listen(config.Metrics{Listen: netip.MustParseAddrPort("127.0.0.1:0")}, controltest.New())
	if err != nil {
		t.Fatal(err)
	}
	at := s.listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if code, _ := fetch(t, "http://"+at+"/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d, want 200", code)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("serve did not end with its context")
	}
	if _, err := net.Dial("tcp", at); err == nil {
		t.Error("still listening")
	}
	if err := s.Close(); err != nil {
		t.Errorf("close after Run: %v", err)
	}
}

// A port that somebody else has is an error before anything is relayed, not
// after the service manager was told that all is well.
func TestListenWhereAnotherDoes(t *testing.T) {
	theirs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	c := config.Metrics{Listen: netip.MustParseAddrPort(theirs.Addr().String())}
	if _, err := Listen(c, controltest.New()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a relay: err = %v, want %v", err, syscall.EADDRINUSE)
	}
	if _, err := ListenGuard(c, controltest.NewGuard()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a guard: err = %v, want %v", err, syscall.EADDRINUSE)
	}
}

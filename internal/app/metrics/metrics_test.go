package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control/controltest"
	"fairlead/internal/lab/labtest"
)

// golden compares a text with a file. With UPDATE=1 it writes the file, for review.
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

func gather(t *testing.T, b *controltest.Fake) []*dto.MetricFamily {
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

// All metrics with type, labels and one sample each: those who have alerts on them depend on
// these.
func TestNames(t *testing.T) {
	testNames(t, "testdata/metrics.txt", gather(t, protectedRelay()), len(relayMetrics))
}

// protectedRelay is a relay in which every figure has a sample.
func protectedRelay() *controltest.Fake {
	fake := controltest.New()
	fake.Figures.Peers[0].Protection, fake.Figures.Peers[0].Protected, fake.Figures.Peers[0].Hops = "ipsec", true, []api.Hop{controltest.IKEHop("kea1")}
	fake.Figures.Strangers = api.Traffic{Packets: 91, Bytes: 9100}
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

// The same for the DHCPv4 relay.
func TestNamesOfRelay4(t *testing.T) {
	testNames(t, "testdata/relay4-metrics.txt", gatherFrom(t, Relay4(controltest.New().Relay4)), len(relay4Metrics))
}

// The same of the DHCPv6 server.
func TestNamesOfServer6(t *testing.T) {
	testNames(t, "testdata/server6-metrics.txt", gatherFrom(t, Server6(controltest.New().Server6)), len(server6Metrics))
}

// The same as Prometheus reads it, with values.
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

// No label says who a client is: a series for each client would need memory without bound, and
// would not be private.
func TestLabelsAreBounded(t *testing.T) {
	allowed := []string{"link", "direction", "type", "reason", "peer", "hop", "kind", "path", "outcome", "version", "go", "family", "relay_id", "pool"}
	labels := make(map[string][]string)
	for _, m := range relayMetrics {
		labels[m.name] = m.labels
	}
	for _, m := range relay4Metrics {
		labels[m.name] = append(labels[m.name], m.labels...)
	}
	for _, m := range server6Metrics {
		labels[m.name] = append(labels[m.name], m.labels...)
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

// The kernel accepts a link name that is no valid text. It must not cost the scrape.
func TestLinkNameThatIsNoText(t *testing.T) {
	fake := controltest.New()
	fake.Figures.Links[len(fake.Figures.Links)-1].Name = "a\xff\xfeb"
	for _, f := range gather(t, fake) {
		if f.GetName() == "fairlead_link_up" {
			if got := f.GetMetric()[0].GetLabel()[0].GetValue(); got != "a?b" {
				t.Errorf("link %q, want a?b", got)
			}
		}
	}
}

// If the relay does not answer, the scrape fails: old or empty figures would look as if all were
// well.
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
	fake.Overview.Limits, fake.Overview.Spoofed = []api.LimitMet{{Client: controltest.Alice}}, []api.SpoofedOn{{Link: "a"}, {Link: "b"}}
	fake.Overview.Degraded = nil
	if code, text := fetch(t, server.URL+"/healthz"); code != http.StatusOK || text != "degraded: 1 limits are met; 2 links with spoofed packets\n" {
		t.Errorf("/healthz: %d %q, want 200 with numbers, and no client's name", code, text)
	}
	if code, _ := fetch(t, server.URL+"/"); code != http.StatusNotFound {
		t.Errorf("/: %d, want 404", code)
	}
}

// O-3: the figure follows the clock, in both directions.
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

// served opens a Server at an address, and runs it until the test ends.
func served(t *testing.T, at string) *Server {
	t.Helper()
	s := Listen(config.Metrics{Listen: netip.MustParseAddrPort(at)}, relayHandler(controltest.New()), slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close after Run: %v", err)
		}
	})
	labtest.Run(t, s.Run)
	return s
}

func TestServeEnds(t *testing.T) {
	var at string
	t.Run("served", func(t *testing.T) {
		at = served(t, "127.0.0.1:0").listener.Addr().String()
		if code, _ := fetch(t, "http://"+at+"/healthz"); code != http.StatusOK {
			t.Errorf("/healthz: %d, want 200", code)
		}
	})
	if c, err := net.Dial("tcp", at); err == nil {
		_ = c.Close()
		t.Error("still listening")
	}
}

// An address that another program has does not stop the relay. It is logged, and tried again
// until it is free.
func TestAddressThatAnotherHas(t *testing.T) {
	theirs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := theirs.Addr().String()
	s := served(t, at)
	if got := s.Trouble(); !strings.Contains(got, syscall.EADDRINUSE.Error()) {
		t.Errorf("trouble %q, want it to name %q", got, syscall.EADDRINUSE)
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	for s.Trouble() != "" { // until it is tried again, or the test's time is over
		time.Sleep(10 * time.Millisecond)
	}
	if code, _ := fetch(t, "http://"+at+"/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d, want 200", code)
	}
}

// Callers who connect and ask nothing, and callers who ask and do not read, do not keep out
// others.
func TestManyConnections(t *testing.T) {
	at := served(t, "127.0.0.1:0").listener.Addr().String()
	for _, first := range []string{"", "GET /met", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"} {
		for range 200 {
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, first); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Fatal(err)
			}
		}
		if code, text := fetch(t, "http://"+at+"/healthz"); code != http.StatusOK {
			t.Errorf("beside 200 that said %q: %d %q, want 200", first, code, text)
		}
	}
}

// relayHandler and guardHandler answer as a process of their kind does.
func relayHandler(fake *controltest.Fake) http.Handler {
	return Handler("relay", func(ctx context.Context) ([]string, error) {
		s, err := fake.Status(ctx)
		return s.Reasons(), err
	}, Counters(fake.Counters))
}

func guardHandler(fake *controltest.FakeGuard) http.Handler {
	return Handler("guard", func(ctx context.Context) ([]string, error) {
		s, err := fake.Status(ctx)
		return s.Degraded, err
	}, Guard(fake.Status))
}

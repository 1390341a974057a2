package network

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/tools/bench/harness"
)

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		load Load
		want []string
	}{
		{
			Load{Clients: 256, Mix: Plain, Window: 64, Length: 2 * time.Second},
			[]string{"load", "--json", "--interface", "g0", "--clients", "256", "--first", "0", "--mix", Plain, "--window", "64", "--duration", "2s"},
		},
		{
			Load{Clients: 9, Mix: "four-way=1", Window: 64, Length: time.Second, relayed: true},
			[]string{"load", "--json", "--server", LinkAddress, "--link-address", AgentAddress, "--clients", "9", "--first", "0", "--mix", "four-way=1", "--window", "64", "--duration", "1s"},
		},
		{
			Load{Clients: 9, First: 5, Prepare: 3, Mix: "renew=1", Window: 64, Rate: 1e6, Count: 7, Timeout: time.Second},
			[]string{"load", "--json", "--interface", "g0", "--clients", "9", "--first", "5", "--mix", "renew=1", "--prepare", "3", "--rate", "1000000", "--count", "7", "--timeout", "1s"},
		},
	} {
		if got := c.load.Arguments("g0"); !slices.Equal(got, c.want) {
			t.Errorf("%+v:\n got %q\nwant %q", c.load, got, c.want)
		}
	}
}

func TestEventsOfTheGenerator(t *testing.T) {
	const good = `{"event":"prepare","clients":4}
{"event":"measure"}
{"event":"progress","answered":1}
{"event":"result","seconds":2,"offered":10,"answered":8,"late":1,"lost":1,"offered_rate":5,"answered_rate":4,"latency_us":{"p50":90,"p99":250.5},"kinds":{"solicit":{"offered":10,"answered":8,"latency_us":{"p99":251}}}}
`
	measured := 0
	res, err := read(strings.NewReader(good), func() error { measured++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if measured != 1 {
		t.Errorf("measuring began %d times, want once", measured)
	}
	if res.Kinds["solicit"].Answered != 8 || res.Kinds["solicit"].Latency.P99 != 251 {
		t.Errorf("result %+v", res)
	}
	var to harness.Results
	res.CPU, res.RSS = 90*time.Microsecond, 1<<20
	res.AddTo(&to, "X")
	for unit, want := range map[string]float64{
		CPU:  10e-6, // for each of 8 exchanges, and for a late one
		Rate: 4, Offered: 5, P50: 90e-6, P99: 250.5e-6, Loss: 0.2, RSS: 1 << 20,
	} {
		if got := to.Median("X", unit); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v %s, want %v", got, unit, want)
		}
	}
	for text, want := range map[string]string{
		"{\"event\":\"measure\"}\n":                   "no result",
		"{\"event\":\"result\",\"exhausted\":true}\n": "too few clients",
		"panic: oh\n": `event "panic: oh"`,
	} {
		if _, err := read(strings.NewReader(text), func() error { return nil }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

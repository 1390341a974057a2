package load

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

// sample returns a result that has something in every part.
func sample() *result {
	t := new(loadgen.Tally)
	s := &t.Kinds[loadgen.Solicit]
	s.Offered, s.Answered, s.Late, s.Lost, s.SendFailed = 100, 97, 1, 2, 4
	for i := range 97 {
		s.Latency.Add(time.Duration(i+1) * time.Millisecond)
	}
	r := &t.Kinds[loadgen.Renew]
	r.Offered, r.Answered = 100, 100
	for range 100 {
		r.Latency.Add(127 * time.Nanosecond)
	}
	t.Unexpected = 5
	t.Status[dhcp6.StatusNoBinding] = 6
	return &result{seconds: 2, inTime: 190, tally: t, dropped: 7}
}

func TestTable(t *testing.T) {
	var out, log strings.Builder
	r := &reporter{options: Options{MaxLoss: -1}, out: &out, log: &log}
	if err := r.result(sample()); err != nil {
		t.Fatal(err)
	}
	// The exact values would be 49, 88 and 97 ms for Solicits, and 78 and 96 ms for all.
	const want = `  exchange  offered  answered  late  lost  not sent   min      p50      p90      p99    max
   solicit      100        97     1     2         4  1 ms  48.9 ms  87.8 ms    97 ms  97 ms
     renew      100       100     0     0         0  0 us     0 us     0 us     0 us   0 us
       all      200       197     1     2         4  0 us     0 us  77.9 ms  96.2 ms  97 ms

100 exchanges a second offered and 95 answered, for 2.0 s; 1.5 % not answered in time
5 messages answered nothing that was asked
7 messages came faster than they could be read, and count as lost
6 answers had the status NoBinding
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
	if log.String() != "" {
		t.Errorf("log: %s", log.String())
	}
}

func TestJSON(t *testing.T) {
	var out, log strings.Builder
	r := &reporter{options: Options{MaxLoss: -1, JSON: true}, out: &out, log: &log}
	x := sample()
	x.exhausted = true
	if err := r.result(x); err != nil {
		t.Fatal(err)
	}
	const renew = `{"offered":100,"answered":100,"late":0,"lost":0,"send_failed":0,"latency_us":{"min":0.127,"p50":0.127,"p90":0.127,"p99":0.127,"max":0.127}}`
	for _, want := range []string{
		`{"event":"result","seconds":2,"offered":200,"answered":197,"late":1,"lost":2,"send_failed":4,"latency_us":{"min":0.127,"p50":0.127,`,
		`"offered_rate":100,"answered_rate":95,"kinds":{"renew":` + renew + `,"solicit":{"offered":100,`,
		`},"unexpected":5,"receive_dropped":7,"status":{"NoBinding":6},"exhausted":true}` + "\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nhas no %s", out.String(), want)
		}
	}
	if !strings.Contains(log.String(), "ended early: no client was left") {
		t.Errorf("log: %s", log.String())
	}
}

// Of two lines of progress, the second is about the time since the first.
func TestProgress(t *testing.T) {
	var out, log strings.Builder
	people := &reporter{log: &log}
	programs := &reporter{options: Options{JSON: true}, out: &out}
	tally := new(loadgen.Tally)
	c := &tally.Kinds[loadgen.FourWay]
	step := func(since time.Duration, latency time.Duration) {
		tally.Recent.Add(latency)
		recent := tally.Recent
		people.progress(since, tally)
		tally.Recent = recent
		programs.progress(since, tally)
	}
	c.Offered, c.Answered, c.Lost = 1000, 900, 60
	step(time.Second, 3*time.Millisecond)
	c.Offered, c.Answered, c.Lost = 1500, 1450, 50 // ten were late
	step(2*time.Second, 2500*time.Millisecond)
	const wantLog = "   1 s     1000/s offered      900/s answered      60 lost  p50 3 ms  p99 3 ms\n" +
		"   2 s      500/s offered      550/s answered       0 lost  p50 2.5 s  p99 2.5 s\n"
	if log.String() != wantLog {
		t.Errorf("%s\nwant\n%s", log.String(), wantLog)
	}
	const wantOut = `{"event":"progress","seconds":1,"offered":1000,"answered":900,"lost":60,"p50_us":3000,"p99_us":3000}
{"event":"progress","seconds":2,"offered":500,"answered":550,"lost":0,"p50_us":2500000,"p99_us":2500000}
`
	if out.String() != wantOut {
		t.Errorf("%s\nwant\n%s", out.String(), wantOut)
	}
}

// The limit on losses counts everything that was not answered in time: late answers, and those
// that never came.
func TestMaxLoss(t *testing.T) {
	for limit, want := range map[float64]error{-1: nil, 0: ErrLoss, 1.4: ErrLoss, 1.5: nil, 100: nil} {
		r := &reporter{options: Options{MaxLoss: limit}, out: new(strings.Builder), log: new(strings.Builder)}
		if err := r.result(sample()); !errors.Is(err, want) {
			t.Errorf("--max-loss %g, 1.5 %% lost: %v, want %v", limit, err, want)
		}
	}
	r := &reporter{options: Options{}, out: new(strings.Builder), log: new(strings.Builder)}
	if err := r.result(&result{tally: new(loadgen.Tally)}); err != nil {
		t.Errorf("nothing offered and nothing lost: %v", err)
	}
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// A result that cannot be written is an error.
func TestResultNotWritten(t *testing.T) {
	for _, json := range []bool{false, true} {
		r := &reporter{options: Options{MaxLoss: -1, JSON: json}, out: broken{}, log: new(strings.Builder)}
		if err := r.result(sample()); !errors.Is(err, errBroken) {
			t.Errorf("JSON %v: %v, want %v", json, err, errBroken)
		}
	}
}

package load

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"fairlead/internal/core/loadgen"
)

// reporter writes the progress and the result, for people and for programs.
type reporter struct {
	options Options
	out     io.Writer // the result, or lines of JSON
	log     io.Writer // for people, meanwhile

	last loadgen.Count // at the last progress
}

// result is what is known at the end.
type result struct {
	seconds   float64 // how long exchanges were begun
	inTime    uint64  // exchanges that were answered in those seconds
	tally     *loadgen.Tally
	dropped   uint64
	exhausted bool // there was no client left for an exchange of the mix
}

// micros are microseconds with three digits behind the point.
type micros float64

func microsOf(d time.Duration) micros { return micros(float64(d.Nanoseconds()) / 1e3) }

type latencyJSON struct {
	Min micros `json:"min"`
	P50 micros `json:"p50"`
	P90 micros `json:"p90"`
	P99 micros `json:"p99"`
	Max micros `json:"max"`
}

func latencyOf(h *loadgen.Histogram) latencyJSON {
	return latencyJSON{microsOf(h.Min()), microsOf(h.Quantile(0.5)), microsOf(h.Quantile(0.9)), microsOf(h.Quantile(0.99)), microsOf(h.Max())}
}

type countJSON struct {
	Offered    uint64      `json:"offered"`
	Answered   uint64      `json:"answered"`
	Late       uint64      `json:"late"`
	Lost       uint64      `json:"lost"`
	SendFailed uint64      `json:"send_failed"`
	Latency    latencyJSON `json:"latency_us"`
}

func countOf(c *loadgen.Count) countJSON {
	return countJSON{c.Offered, c.Answered, c.Late, c.Lost, c.SendFailed, latencyOf(&c.Latency)}
}

type resultJSON struct {
	Event   string  `json:"event"`
	Seconds float64 `json:"seconds"`
	countJSON
	OfferedRate  float64              `json:"offered_rate"`
	AnsweredRate float64              `json:"answered_rate"`
	Kinds        map[string]countJSON `json:"kinds"`
	Unexpected   uint64               `json:"unexpected"`
	Dropped      uint64               `json:"receive_dropped"`
	Status       map[string]uint64    `json:"status"`
	Exhausted    bool                 `json:"exhausted"`
}

type progressJSON struct {
	Event    string  `json:"event"`
	Seconds  float64 `json:"seconds"`
	Offered  uint64  `json:"offered"` // these three count from the progress before
	Answered uint64  `json:"answered"`
	Lost     uint64  `json:"lost"`
	P50      micros  `json:"p50_us"`
	P99      micros  `json:"p99_us"`
}

// line writes one JSON object. An error shows at the end, in result.
func (r *reporter) line(v any) error { return json.NewEncoder(r.out).Encode(v) }

// announce writes what is going to be done, and to whom.
func (r *reporter) announce() {
	o := r.options
	last := loadgen.MAC(o.First + uint32(o.Clients) - 1)
	first := loadgen.MAC(o.First)
	where := "interface " + o.Interface
	if o.Server.IsValid() {
		where = "server " + o.Server.String()
	}
	fmt.Fprintf(r.log, "%s: playing %d clients, %s to %s\n", where, o.Clients, macText(first), macText(last))
}

func macText(m [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

func (r *reporter) prepared(clients int) {
	if r.options.JSON {
		r.line(map[string]any{"event": "prepare", "clients": clients})
		return
	}
	fmt.Fprintf(r.log, "%d clients hold a lease\n", clients)
}

func (r *reporter) measuring() {
	if r.options.JSON {
		r.line(map[string]any{"event": "measure"})
	}
}

// progress tells about the time since it was last called.
func (r *reporter) progress(since time.Duration, t *loadgen.Tally) {
	total := t.Total()
	answered := total.Answered - r.last.Answered
	lost, offered := risen(r.last.Lost, total.Lost), risen(r.last.Offered, total.Offered)
	p50, p99 := t.Recent.Quantile(0.5), t.Recent.Quantile(0.99)
	t.Recent.Reset()
	r.last = *total
	if r.options.JSON {
		r.line(progressJSON{"progress", since.Seconds(), offered, answered, lost, microsOf(p50), microsOf(p99)})
		return
	}
	fmt.Fprintf(r.log, "%4.0f s  %7d/s offered  %7d/s answered  %6d lost  p50 %s  p99 %s\n", since.Seconds(), offered, answered, lost, short(p50), short(p99))
}

// risen is how much a count has risen. It may also fall: a lost message may turn out to be late,
// and an offered one may turn out not to have been sent.
func risen(from, to uint64) uint64 { return max(from, to) - from }

// short is a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f us", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

func (r *reporter) statusMap(t *loadgen.Tally) map[string]uint64 {
	m := map[string]uint64{}
	for code, n := range t.Status {
		if n > 0 {
			m[r.options.Family.StatusName(code)] = n
		}
	}
	return m
}

// statusText tells what servers said instead of granting, for an error.
func (r *reporter) statusText(t *loadgen.Tally) string {
	var b strings.Builder
	for code, n := range t.Status {
		if n > 0 {
			fmt.Fprintf(&b, "; %d answers said %s", n, r.options.Family.StatusName(code))
		}
	}
	return b.String()
}

// result writes the result at the end, and fails if too much was lost.
func (r *reporter) result(x *result) error {
	total := x.tally.Total()
	offeredRate, answeredRate := 0.0, 0.0
	if x.seconds > 0 {
		offeredRate, answeredRate = float64(total.Offered)/x.seconds, float64(x.inTime)/x.seconds
	}
	var err error
	if r.options.JSON {
		j := resultJSON{
			Event: "result", Seconds: x.seconds, countJSON: countOf(total),
			OfferedRate: offeredRate, AnsweredRate: answeredRate,
			Kinds: map[string]countJSON{}, Unexpected: x.tally.Unexpected, Dropped: x.dropped,
			Status: r.statusMap(x.tally), Exhausted: x.exhausted,
		}
		for k := range x.tally.Kinds {
			if c := &x.tally.Kinds[k]; c.Offered+c.SendFailed > 0 {
				j.Kinds[r.options.Family.KindName(loadgen.Kind(k))] = countOf(c)
			}
		}
		err = r.line(j)
	} else {
		err = r.table(x, total, offeredRate, answeredRate)
	}
	if err != nil {
		return fmt.Errorf("load: write the result: %w", err)
	}
	if x.exhausted {
		fmt.Fprintln(r.log, "ended early: no client was left for what --mix wants; see --clients and --prepare")
	}
	if loss := lossPercent(total); r.options.MaxLoss >= 0 && loss > r.options.MaxLoss {
		return fmt.Errorf("load: %.3g %% of the exchanges were not answered in time, --max-loss is %g: %w", loss, r.options.MaxLoss, ErrLoss)
	}
	return nil
}

// lossPercent is the share of what was offered and not answered in time.
func lossPercent(c *loadgen.Count) float64 {
	if c.Offered == 0 {
		return 0
	}
	return math.Max(0, 100*float64(c.Late+c.Lost)/float64(c.Offered))
}

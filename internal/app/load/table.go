package load

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"fairlead/internal/core/loadgen"
)

// table writes the result for people.
func (r *reporter) table(x *result, total *loadgen.Count, offeredRate, answeredRate float64) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "exchange\toffered\tanswered\tlate\tlost\tnot sent\tmin\tp50\tp90\tp99\tmax\t")
	row := func(name string, c *loadgen.Count) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d", name, c.Offered, c.Answered, c.Late, c.Lost, c.SendFailed)
		h := &c.Latency
		fmt.Fprintf(w, "\t%s\t%s\t%s\t%s\t%s\t\n", short(h.Min()), short(h.Quantile(0.5)), short(h.Quantile(0.9)), short(h.Quantile(0.99)), short(h.Max()))
	}
	kinds := 0
	for k := range x.tally.Kinds {
		if c := &x.tally.Kinds[k]; c.Offered+c.SendFailed > 0 {
			row(r.options.Family.KindName(loadgen.Kind(k)), c)
			kinds++
		}
	}
	if kinds != 1 {
		row("all", total)
	}
	w.Flush() // to a Builder, which returns no error
	fmt.Fprintf(&b, "\n%.0f exchanges a second offered and %.0f answered, for %.1f s; %.3g %% not answered in time\n",
		offeredRate, answeredRate, x.seconds, lossPercent(total))
	if x.tally.Unexpected > 0 {
		fmt.Fprintf(&b, "%d messages answered nothing that was asked\n", x.tally.Unexpected)
	}
	if x.dropped > 0 {
		fmt.Fprintf(&b, "%d messages came faster than they could be read, and count as lost\n", x.dropped)
	}
	for code, n := range x.tally.Status {
		if n > 0 {
			fmt.Fprintf(&b, "%d answers had the status %s\n", n, r.options.Family.StatusName(code))
		}
	}
	_, err := fmt.Fprint(r.out, b.String())
	return err
}

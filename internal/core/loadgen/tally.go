package loadgen

// Count has the results of the exchanges of one kind. Offered is the sum of Answered, Late, Lost
// and those that are still under way.
type Count struct {
	Offered    uint64 // exchanges whose first message was sent
	Answered   uint64 // answered in time
	Late       uint64 // answered after the timeout
	Lost       uint64 // not answered, or not yet
	SendFailed uint64 // messages that could not be sent; they are not offered
	Latency    Histogram
}

// statuses is the number of counters: codes above are counted as the last one.
const statuses = 32

// Tally has the results of all exchanges since it was made.
type Tally struct {
	Kinds      [Kinds]Count
	Recent     Histogram        // latencies since somebody called Recent.Reset
	Unexpected uint64           // messages that answer no exchange
	Status     [statuses]uint64 // Family.StatusName tells what each is
}

// Total returns the sum over all kinds.
func (t *Tally) Total() *Count {
	sum := new(Count)
	for k := range t.Kinds {
		c := &t.Kinds[k]
		sum.Offered += c.Offered
		sum.Answered += c.Answered
		sum.Late += c.Late
		sum.Lost += c.Lost
		sum.SendFailed += c.SendFailed
		sum.Latency.Merge(&c.Latency)
	}
	return sum
}

func (t *Tally) status(c uint16) { t.Status[min(c, statuses-1)]++ }

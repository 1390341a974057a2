package loadgen

// Count are the results of the exchanges of one kind. Offered is the sum of Answered,
// Late, Lost and those that are still under way.
type Count struct {
	Offered    uint64 // the first message was sent
	Answered   uint64 // in time
	Late       uint64 // answered after the timeout
	Lost       uint64 // not answered (yet)
	SendFailed uint64 // the message could not be sent; not offered
	Latency    Histogram
}

// statuses: codes above are counted as the last.
const statuses = 32

// Tally are the results of all exchanges since it was made.
type Tally struct {
	Kinds      [Kinds]Count
	Recent     Histogram        // latencies since somebody called Recent.Reset
	Unexpected uint64           // messages that answer no exchange
	Status     [statuses]uint64 // Family.StatusName tells what each is
}

// Total is the sum over all kinds.
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

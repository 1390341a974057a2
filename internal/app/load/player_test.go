package load

import (
	"testing"
	"time"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

// answering is a port whose server has answered each message by the next turn. The kernel says that
// the answers arrived so much later than now.
type answering struct {
	room   [2048]byte
	answer []byte
	late   time.Duration
}

func (a *answering) Room() []byte { return a.room[:0] }

func (a *answering) Queue(_ loadgen.Message, message []byte) {
	a.answer = append([]byte{byte(dhcp6.Reply)}, message[1:4]...)
	a.answer = dhcp6.AppendServerID(a.answer, dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1})
}

func (a *answering) Receive(_ int, each func(uint32, int64, []byte)) int {
	if a.answer == nil {
		return 0
	}
	each(0, time.Now().Add(a.late).UnixNano(), a.answer)
	a.answer = nil
	return 1
}

func (*answering) Flush()             {}
func (*answering) Wait(time.Duration) {}
func (*answering) Dropped() uint64    { return 0 }
func (*answering) Close()             {}

// The wall clock tells when answers arrived. Where it is set while the load runs, no latency is
// wrong by more than a turn.
func TestLatencyWhileTheWallClockIsSet(t *testing.T) {
	for _, late := range []time.Duration{0, -time.Hour, time.Hour, -3 * time.Millisecond} {
		port := &answering{late: late}
		mix, err := loadgen.DHCPv6.ParseMix("information-request=1")
		if err != nil {
			t.Fatal(err)
		}
		p := newPlayer(loadgen.New(loadgen.Config{Clients: 1, Mix: mix, IAs: loadgen.IAs{PD: true}, Timeout: time.Second, Slots: 16}))
		p.port = port
		p.listen()
		begun := p.now
		if !p.begin(loadgen.InformationRequest, p.now) {
			t.Fatal("no exchange has begun")
		}
		p.listen()
		total := p.engine.Tally().Total()
		if total.Answered != 1 {
			t.Fatalf("%s late: %d answers, want one", late, total.Answered)
		}
		if took := total.Latency.Min(); took <= 0 || took > p.now-begun {
			t.Errorf("%s late: the answer took %s, want more than 0 and at most %s", late, took, p.now-begun)
		}
	}
}

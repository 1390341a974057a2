package loadgen_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

const timeout = 100 * time.Millisecond

// rig is an Engine. Answers of a server are made by a foreign library.
type rig struct {
	t *testing.T
	*loadgen.Engine
	family loadgen.Family
	now    time.Duration
}

func newRig(t *testing.T, clients int, mix string) *rig {
	t.Helper()
	m, err := loadgen.DHCPv6.ParseMix(mix)
	if err != nil {
		t.Fatal(err)
	}
	e := loadgen.New(loadgen.Config{First: 7000, Clients: clients, Mix: m, IAs: loadgen.IAs{PD: true}, Timeout: timeout, Seed: 99})
	e.Admit(0, clients)
	return &rig{t: t, Engine: e, now: time.Second}
}

// sent is a message that the Engine wrote, as a foreign decoder reads it.
type sent struct {
	Client, Number uint32
	*dhcpv6.Message
}

func (r *rig) read(m loadgen.Message, b []byte) sent {
	r.t.Helper()
	d, err := dhcpv6.MessageFromBytes(b)
	if err != nil {
		r.t.Fatalf("%x: %v", b, err)
	}
	return sent{m.Client, m.Number, d}
}

// say begins an exchange, and fails the test if it is not possible.
func (r *rig) say(k loadgen.Kind) sent {
	r.t.Helper()
	b, m, ok := r.Begin(nil, k, r.now, r.now)
	if !ok {
		r.t.Fatalf("nobody can begin a %s", r.family.KindName(k))
	}
	return r.read(m, b)
}

var serverID = dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 0xff}

// answer returns what a server answers to a message.
func (r *rig) answer(to sent, t dhcp6.MessageType, add func(b []byte) []byte) []byte {
	b := dhcp6.AppendMessageHeader(nil, t, uint32(to.TransactionID[0])<<16|uint32(to.TransactionID[1])<<8|uint32(to.TransactionID[2]))
	b = dhcp6.AppendClientID(b, loadgen.DUID(to.Client))
	b = dhcp6.AppendServerID(b, serverID)
	if add != nil {
		b = add(b)
	}
	return b
}

// hear hands the Engine an answer after a while.
func (r *rig) hear(after time.Duration, to sent, t dhcp6.MessageType, add func([]byte) []byte) ([]byte, loadgen.Message, bool) {
	r.now += after
	return r.Answer(nil, to.Client, r.now, r.answer(to, t, add))
}

func granting(prefix string) func([]byte) []byte {
	return func(b []byte) []byte {
		b, mark := dhcp6.BeginIA(b, dhcp6.OptionIAPD, loadgen.IAID, 0, 0)
		b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{Prefix: netip.MustParsePrefix(prefix), Preferred: 100, Valid: 200})
		b, _ = dhcp6.EndOption(b, mark)
		return b
	}
}

func refusing(code dhcp6.StatusCode) func([]byte) []byte {
	return func(b []byte) []byte {
		b, mark := dhcp6.BeginIA(b, dhcp6.OptionIAPD, loadgen.IAID, 0, 0)
		b = dhcp6.AppendStatus(b, dhcp6.Status{Code: code})
		b, _ = dhcp6.EndOption(b, mark)
		return b
	}
}

// meet lets the Engine learn the identifier of the server.
func (r *rig) meet() {
	r.t.Helper()
	r.hear(time.Millisecond, r.say(loadgen.Solicit), dhcp6.Advertise, nil)
	if !r.KnowsServer() {
		r.t.Fatal("an Advertise was heard, and the server is not known")
	}
	r.Restart()
}

// grant lets the next newcomer hold a prefix.
func (r *rig) grant(prefix string) sent {
	r.t.Helper()
	m := r.say(loadgen.Request)
	r.hear(time.Millisecond, m, dhcp6.Reply, granting(prefix))
	return m
}

// counts is the part of a Count that is compared.
type counts struct{ offered, answered, late, lost, failed uint64 }

func (r *rig) want(k loadgen.Kind, want counts) {
	r.t.Helper()
	c := &r.Tally().Kinds[k]
	if got := (counts{c.Offered, c.Answered, c.Late, c.Lost, c.SendFailed}); got != want {
		r.t.Errorf("%s: %+v, want %+v", r.family.KindName(k), got, want)
	}
}

func (r *rig) wantUnexpected(want uint64) {
	r.t.Helper()
	if got := r.Tally().Unexpected; got != want {
		r.t.Errorf("%d unexpected messages, want %d", got, want)
	}
}

// heldPrefix is the prefix in a message of a client.
func heldPrefix(m sent) string {
	for _, ia := range m.Options.IAPD() {
		for _, p := range ia.Options.Prefixes() {
			return p.Prefix.String()
		}
	}
	return ""
}

func dhcpMessage(t *testing.T, b []byte) *dhcpv6.Message {
	t.Helper()
	m, err := dhcpv6.MessageFromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

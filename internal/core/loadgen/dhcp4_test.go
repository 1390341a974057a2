package loadgen_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"fairlead/internal/core/loadgen"
)

// rig4 is an Engine of DHCPv4 clients. Answers of servers are made by a foreign library.
type rig4 struct{ rig }

func newRig4(t *testing.T, clients int, mix string) *rig4 {
	t.Helper()
	return newRigOf4(t, loadgen.Config{First: 7000, Clients: clients}, mix)
}

func newRigOf4(t *testing.T, c loadgen.Config, mix string) *rig4 {
	t.Helper()
	var err error
	if c.Mix, err = loadgen.DHCPv4.ParseMix(mix); err != nil {
		t.Fatal(err)
	}
	c.Family, c.Timeout, c.Seed = loadgen.DHCPv4, timeout, 99
	e := loadgen.New(c)
	e.Admit(0, c.Clients)
	return &rig4{rig{t: t, Engine: e, family: loadgen.DHCPv4, now: time.Second}}
}

// sent4 is a message that the Engine wrote, as a foreign decoder reads it.
type sent4 struct {
	loadgen.Message
	*dhcpv4.DHCPv4
}

func (r *rig4) read(m loadgen.Message, b []byte) sent4 {
	r.t.Helper()
	d, err := dhcpv4.FromBytes(b)
	if err != nil {
		r.t.Fatalf("%x: %v", b, err)
	}
	return sent4{m, d}
}

// say begins an exchange, and fails the test if it is not possible.
func (r *rig4) say(k loadgen.Kind) sent4 {
	r.t.Helper()
	b, m, ok := r.Begin(nil, k, r.now, r.now)
	if !ok {
		r.t.Fatalf("nobody can begin a %s", r.family.KindName(k))
	}
	return r.read(m, b)
}

var (
	server4  = netip.MustParseAddr("192.0.2.1")
	another4 = netip.MustParseAddr("192.0.2.2")
)

// answer returns what a server answers to a message.
func (r *rig4) answer(to sent4, t dhcpv4.MessageType, yours string, more ...dhcpv4.Modifier) []byte {
	r.t.Helper()
	all := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(t),
		dhcpv4.WithServerIP(server4.AsSlice()),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server4.AsSlice())),
	}
	if yours != "" {
		all = append(all, dhcpv4.WithYourIP(net.ParseIP(yours)))
	}
	m, err := dhcpv4.NewReplyFromRequest(to.DHCPv4, append(all, more...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return m.ToBytes()
}

// hear hands the Engine an answer after a while.
func (r *rig4) hear(after time.Duration, to sent4, t dhcpv4.MessageType, yours string, more ...dhcpv4.Modifier) ([]byte, loadgen.Message, bool) {
	r.t.Helper()
	r.now += after
	return r.Answer(nil, to.Client, r.now, r.answer(to, t, yours, more...))
}

// offer answers a Discover, and returns the Request that takes up the offer.
func (r *rig4) offer(to sent4, yours string, more ...dhcpv4.Modifier) sent4 {
	r.t.Helper()
	b, m, goesOn := r.hear(time.Millisecond, to, dhcpv4.MessageTypeOffer, yours, more...)
	if !goesOn {
		r.t.Fatalf("nobody takes up an offer of %s", yours)
	}
	return r.read(m, b)
}

// grant has the next newcomer hold an address.
func (r *rig4) grant(yours string, more ...dhcpv4.Modifier) sent4 {
	r.t.Helper()
	request := r.offer(r.say(loadgen.Request), yours, more...)
	r.hear(time.Millisecond, request, dhcpv4.MessageTypeAck, yours, more...)
	return request
}

func of(server netip.Addr) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server.AsSlice()))
}

// describe writes a message of client 0x01020304 in one line, and fails the test for a wrong
// value in what is the same in all messages.
func (r *rig4) describe(m sent4) string {
	r.t.Helper()
	const mac = "02:fa:01:02:03:04"
	if m.OpCode != dhcpv4.OpcodeBootRequest || m.HWType != 1 || m.ClientHWAddr.String() != mac || m.HopCount != 0 ||
		!m.YourIPAddr.IsUnspecified() || !m.ServerIPAddr.IsUnspecified() || !m.GatewayIPAddr.IsUnspecified() || m.NumSeconds != 0 {
		r.t.Errorf("header %s", m.Summary())
	}
	if id := m.Options.Get(dhcpv4.OptionClientIdentifier); fmt.Sprintf("%x", id) != "0102fa01020304" {
		r.t.Errorf("client identifier %x", id)
	}
	parts := []string{m.MessageType().String()}
	add := func(name string, a net.IP) {
		if a != nil && !a.IsUnspecified() {
			parts = append(parts, name+" "+a.String())
		}
	}
	add("ciaddr", m.ClientIPAddr)
	add("requested", m.RequestedIPAddress())
	add("server", m.ServerIdentifier())
	if m.IsBroadcast() {
		parts = append(parts, "broadcast")
	}
	if m.From.IsValid() {
		parts = append(parts, "from "+m.From.String())
	}
	if m.To.IsValid() {
		parts = append(parts, "to "+m.To.String())
	}
	var rest []string
	for code := range m.Options {
		switch dhcpv4.GenericOptionCode(code) {
		case 50, 53, 54, 61:
		default:
			rest = append(rest, fmt.Sprint(code))
		}
	}
	if slices.Sort(rest); !slices.Equal(rest, []string{"55"}) {
		r.t.Errorf("options besides: %v", rest)
	}
	return strings.Join(parts, " ")
}

// What each message contains, and from where to where it goes (RFC 2131 section 4.3.2, table 4,
// and section 4.4.1, table 5), as a foreign decoder reads it.
func TestMessages4(t *testing.T) {
	for _, broadcast := range []bool{false, true} {
		t.Run(fmt.Sprint("broadcast ", broadcast), func(t *testing.T) {
			r := newRigOf4(t, loadgen.Config{First: 0x01020304, Clients: 1, Broadcast: broadcast}, "request")
			flag := ""
			if broadcast {
				flag = " broadcast"
			}
			want := func(m sent4, want string) {
				t.Helper()
				if got := r.describe(m); got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
			}
			want(r.say(loadgen.Solicit), "DISCOVER"+flag)
			want(r.say(loadgen.FourWay), "DISCOVER"+flag)
			discover := r.say(loadgen.Request)
			want(discover, "DISCOVER"+flag)
			request := r.offer(discover, "198.51.100.7")
			want(request, "REQUEST requested 198.51.100.7 server 192.0.2.1"+flag)
			if request.TransactionID == discover.TransactionID {
				t.Error("both messages of an exchange have the same transaction-id: the answers could not be told apart")
			}
			r.hear(1, request, dhcpv4.MessageTypeAck, "198.51.100.7")
			want(r.say(loadgen.Renew), "REQUEST ciaddr 198.51.100.7 from 198.51.100.7 to 192.0.2.1")
			want(r.say(loadgen.Rebind), "REQUEST ciaddr 198.51.100.7 from 198.51.100.7")
			want(r.say(loadgen.InformationRequest), "INFORM ciaddr 198.51.100.7 from 198.51.100.7")
		})
	}
}

// A lease is followed from its grant: which server renews it, and what a renewal changes.
func TestLease4(t *testing.T) {
	r := newRig4(t, 3, "request,renew,rebind,inform")
	if _, _, ok := r.Begin(nil, loadgen.Renew, r.now, r.now); ok {
		t.Error("a renewal, and no server was heard")
	}
	if got := r.grant("198.51.100.7"); got.Client != 7000 {
		t.Errorf("client %d is the first newcomer", got.Client)
	}
	r.grant("198.51.100.8", of(another4))
	if r.Holders() != 2 {
		t.Fatalf("%d clients hold a lease, want 2", r.Holders())
	}
	wantRenewal := func(client uint32, address string, server netip.Addr) sent4 {
		t.Helper()
		m := r.say(loadgen.Renew)
		if m.Client != client || m.ClientIPAddr.String() != address || m.From.String() != address || m.To != server {
			t.Errorf("client %d renews %s with %s, want client %d, %s and %s", m.Client, m.ClientIPAddr, m.To, client, address, server)
		}
		return m
	}
	r.hear(1, wantRenewal(7000, "198.51.100.7", server4), dhcpv4.MessageTypeAck, "198.51.100.9")
	wantRenewal(7001, "198.51.100.8", another4)
	wantRenewal(7000, "198.51.100.9", server4)
	// If a server acknowledges a Rebind, the lease is that server's from then on.
	if m := r.say(loadgen.Rebind); m.Client != 7001 {
		t.Errorf("client %d rebinds", m.Client)
	} else {
		r.hear(1, m, dhcpv4.MessageTypeAck, "198.51.100.8")
	}
	r.say(loadgen.Rebind)
	wantRenewal(7001, "198.51.100.8", server4)
	// The answer to an Inform has no address (RFC 2131 section 4.3.5), and takes no address away.
	r.hear(1, r.say(loadgen.InformationRequest), dhcpv4.MessageTypeAck, "")
	r.want(loadgen.InformationRequest, counts{offered: 1, answered: 1})
	if r.Holders() != 2 {
		t.Errorf("%d clients hold a lease after an Inform", r.Holders())
	}
	if m := r.grant("198.51.100.10"); m.Client != 7002 {
		t.Errorf("client %d is the last newcomer", m.Client)
	}
	if _, _, ok := r.Begin(nil, loadgen.Request, r.now, r.now); ok {
		t.Error("a newcomer, and all clients hold a lease")
	}
	r.wantUnexpected(0)
}

// All four messages are one exchange, timed from its beginning.
func TestFourWay4(t *testing.T) {
	r := newRig4(t, 1, "four-way")
	request := r.offer(r.say(loadgen.FourWay), "198.51.100.7")
	if r.Underway() != 1 || r.Holders() != 0 {
		t.Errorf("after the Offer: %d under way, %d holders", r.Underway(), r.Holders())
	}
	r.hear(30*time.Millisecond, request, dhcpv4.MessageTypeAck, "198.51.100.7")
	r.want(loadgen.FourWay, counts{offered: 1, answered: 1})
	if got := r.Tally().Kinds[loadgen.FourWay].Latency.Max(); got != 31*time.Millisecond || r.Underway() != 0 || r.Holders() != 1 {
		t.Errorf("took %s, %d under way, %d holders", got, r.Underway(), r.Holders())
	}
}

// A NAK ends an exchange, is counted as a status, and takes the lease away.
func TestNAK4(t *testing.T) {
	r := newRig4(t, 1, "request,renew")
	request := r.offer(r.say(loadgen.Request), "198.51.100.7")
	r.hear(1, request, dhcpv4.MessageTypeNak, "")
	if r.Holders() != 0 {
		t.Error("a client holds what was refused")
	}
	r.grant("198.51.100.7") // it may ask again
	r.hear(1, r.say(loadgen.Renew), dhcpv4.MessageTypeNak, "")
	if r.Holders() != 0 || r.Underway() != 0 {
		t.Errorf("after the NAK: %d holders, %d under way", r.Holders(), r.Underway())
	}
	r.grant("198.51.100.8")
	r.want(loadgen.Request, counts{offered: 3, answered: 3})
	r.want(loadgen.Renew, counts{offered: 1, answered: 1})
	for code, n := range r.Tally().Status {
		if named := loadgen.DHCPv4.StatusName(code) == "NAK"; named && n != 2 || !named && n != 0 {
			t.Errorf("%s: %d times", loadgen.DHCPv4.StatusName(code), n)
		}
	}
}

// A client whose exchange is lost, at the first message or at the second, may ask again.
func TestLostRequest4(t *testing.T) {
	r := newRig4(t, 1, "request")
	lose := func() {
		t.Helper()
		if _, _, ok := r.Begin(nil, loadgen.Request, r.now, r.now); ok {
			t.Error("the same client twice at a time")
		}
		r.now += timeout + 1
		r.Expire(r.now)
	}
	r.say(loadgen.Request)
	lose()
	request := r.offer(r.say(loadgen.Request), "198.51.100.7")
	lose()
	r.want(loadgen.Request, counts{offered: 2, lost: 2})
	r.hear(1, request, dhcpv4.MessageTypeAck, "198.51.100.7")
	r.want(loadgen.Request, counts{offered: 2, late: 1, lost: 1})
	if r.Holders() != 1 || r.Underway() != 0 {
		t.Errorf("%d holders, %d under way", r.Holders(), r.Underway())
	}
}

// Messages that are no answer to anything change nothing.
func TestUnexpected4(t *testing.T) {
	r := newRig4(t, 2, "discover,request")
	m := r.say(loadgen.Solicit)
	offer := func(more ...dhcpv4.Modifier) []byte {
		return r.answer(m, dhcpv4.MessageTypeOffer, "198.51.100.7", more...)
	}
	with := func(b []byte, at int, v byte) []byte {
		b[at] ^= v
		return b
	}
	type bad struct {
		client uint32
		octets []byte
	}
	try := func(all map[string]bad) {
		t.Helper()
		for name, b := range all {
			before := r.Tally().Unexpected
			if _, _, more := r.Answer(nil, b.client, r.now, b.octets); more || r.Tally().Unexpected != before+1 || r.Underway() != 1 {
				t.Errorf("%s: more %v, %d unexpected, %d under way", name, more, r.Tally().Unexpected-before, r.Underway())
			}
		}
	}
	try(map[string]bad{
		"empty":                 {m.Client, nil},
		"cut":                   {m.Client, offer()[:239]},
		"another client's":      {m.Client + 1, offer()},
		"another id":            {m.Client, with(offer(), 7, 1)},
		"an id of four octets":  {m.Client, with(offer(), 4, 1)},
		"a client's":            {m.Client, with(offer(), 0, 3)},
		"an ACK":                {m.Client, r.answer(m, dhcpv4.MessageTypeAck, "198.51.100.7")},
		"a NAK":                 {m.Client, r.answer(m, dhcpv4.MessageTypeNak, "")},
		"a Decline":             {m.Client, r.answer(m, dhcpv4.MessageTypeDecline, "198.51.100.7")},
		"of no type":            {m.Client, offer(dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionDHCPMessageType, nil)))},
		"offers nothing":        {m.Client, r.answer(m, dhcpv4.MessageTypeOffer, "")},
		"of no server":          {m.Client, offer(func(d *dhcpv4.DHCPv4) { d.Options.Del(dhcpv4.OptionServerIdentifier) })},
		"of the server 0.0.0.0": {m.Client, offer(of(netip.IPv4Unspecified()))},
	})
	r.hear(1, m, dhcpv4.MessageTypeOffer, "198.51.100.7")
	m = r.offer(r.say(loadgen.Request), "198.51.100.7")
	try(map[string]bad{"a second Offer": {m.Client, offer()}})
	r.hear(1, m, dhcpv4.MessageTypeAck, "198.51.100.7")
	before := r.Tally().Unexpected
	r.hear(1, m, dhcpv4.MessageTypeAck, "198.51.100.7") // the same once more
	r.wantUnexpected(before + 1)
	r.want(loadgen.Solicit, counts{offered: 1, answered: 1})
	r.want(loadgen.Request, counts{offered: 1, answered: 1})
}

// The kinds of DHCPv4 have names of their own, and two of DHCPv6 do not exist.
func TestParseMix4(t *testing.T) {
	const text = "discover=1,request=2,renew=3,rebind=4,inform=5,four-way=6"
	m, err := loadgen.DHCPv4.ParseMix(text)
	if err != nil || loadgen.DHCPv4.MixText(m) != text {
		t.Errorf("%s: %v, %v", text, loadgen.DHCPv4.MixText(m), err)
	}
	for _, name := range []string{"", "solicit", "release", "rapid", "information-request"} {
		_, err := loadgen.DHCPv4.ParseMix(name)
		want := fmt.Sprintf("mix: no kind %q: there are discover, request, renew, rebind, inform, four-way", name)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

// An exchange allocates nothing.
func TestNoAllocations4(t *testing.T) {
	r := newRig4(t, 100, "request,renew")
	r.grant("198.51.100.7")
	room := make([]byte, 0, loadgen.MaxMessage)
	discover := r.say(loadgen.FourWay)
	offer := r.answer(discover, dhcpv4.MessageTypeOffer, "198.51.100.8")
	ack := r.answer(discover, dhcpv4.MessageTypeAck, "198.51.100.8")
	exchange := func() {
		b, m, _ := r.Begin(room, loadgen.FourWay, r.now, r.now)
		copy(offer[4:8], b[4:8])
		b, m, more := r.Answer(room, m.Client, r.now, offer)
		if !more {
			t.Fatal("no Request")
		}
		copy(ack[4:8], b[4:8])
		r.Answer(room, m.Client, r.now, ack)
		b, m, _ = r.Begin(room, loadgen.Renew, r.now, r.now)
		copy(ack[4:8], b[4:8])
		r.Answer(room, m.Client, r.now, ack)
		r.Expire(r.now)
	}
	if n := testing.AllocsPerRun(1000, exchange); n != 0 {
		t.Errorf("%v allocations in an exchange and a renewal", n)
	}
	if n := r.Tally().Kinds[loadgen.Renew].Answered; n < 1000 {
		t.Errorf("%d renewals were answered", n)
	}
}

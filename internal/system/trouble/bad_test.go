package trouble_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// size is what a process takes of the machine.
type size struct{ resident, files, threads int }

func (r *network) size() size {
	r.T.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", r.Fairlead.Proc().Pid()))
	r.Need(err)
	return size{r.Fairlead.Resident(), r.Fairlead.Descriptors(), len(threads)}
}

// mutate changes a message in one to four ways that its seed decides.
func mutate(random *rand.Rand, whole []byte) []byte {
	b := bytes.Clone(whole)
	for range 1 + random.IntN(4) {
		if len(b) < 8 {
			return append(b, byte(random.Uint32()))
		}
		at := random.IntN(len(b))
		switch random.IntN(7) {
		case 0: // a bit
			b[at] ^= 1 << random.IntN(8)
		case 1: // an octet of extremes
			b[at] = []byte{0, 1, 0x7f, 0x80, 0xff}[random.IntN(5)]
		case 2: // torn
			b = b[:at]
		case 3: // two octets, a length perhaps
			if at+2 <= len(b) {
				binary.BigEndian.PutUint16(b[at:], []uint16{0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff, uint16(len(b))}[random.IntN(7)])
			}
		case 4: // a part twice
			end := min(len(b), at+random.IntN(64))
			b = append(b[:end:end], b[at:]...)
		case 5: // a part missing
			b = append(b[:at:at], b[min(len(b), at+random.IntN(32)):]...)
		case 6: // another type
			b[0] = byte(random.IntN(40))
		}
	}
	return b[:min(len(b), 1400)]
}

// nested wraps a message into relay layers.
func nested(message []byte, layers int) []byte {
	for hops := range layers {
		b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, byte(hops), netip.IPv6Unspecified(), netip.MustParseAddr("fe80::1234"))
		message = dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, message)
	}
	return message
}

// flood is a test under way: a hostile link, and one whose client must be served.
type flood struct {
	*network
	random *rand.Rand
	good   *rig.Client
	sent   int
}

// pace is how many bad messages are sent before the good client must be answered.
const pace = 64

// after counts a message, and at times has the good client ask.
func (f *flood) after() {
	f.T.Helper()
	if f.sent++; f.sent%pace == 0 {
		f.served()
	}
}

// served ends the test if the good client is not.
func (f *flood) served() {
	f.T.Helper()
	if _, err := f.good.Client.Exchange(labtest.Patience, f.good.Message(dhcp6.InformationRequest)); err != nil {
		f.T.Fatalf("after %d bad messages: %v", f.sent, err)
	}
}

// clean fails the test unless the relay is as it was before, but for counters.
func (f *flood) clean(before size, lines int) {
	f.T.Helper()
	f.served()
	fresh := f.Play(2, rig.DUID(99))
	f.obtain(fresh, 1)
	f.WantRoute(f.book.Prefix(rig.DUID(99), 1), 2)
	after := f.size()
	const mebi = 1 << 10 // in units of /proc
	if after.resident > before.resident+96*mebi {
		f.T.Errorf("it has grown from %d to %d KiB", before.resident, after.resident)
	}
	if after.files > before.files+4 || after.threads > before.threads+16 {
		f.T.Errorf("files and threads: %+v before, %+v after", before, after)
	}
	written := strings.Count(f.Fairlead.Log(), "\n")
	if written > lines {
		f.T.Errorf("the log has %d lines after %d bad messages, want at most %d", written, f.sent, lines)
	}
	if n := rig.Lines(f.Fairlead.Log(), "panic"); n != 0 {
		f.T.Errorf("%d lines of the log speak of a panic", n)
	}
	// At the end it tells of all its goroutines.
	f.Need(f.Fairlead.Proc().Signal(syscall.SIGQUIT))
	_ = f.Fairlead.Proc().Wait(labtest.Patience) // it ends badly, as told
	log := f.Fairlead.Log()
	goroutines := strings.Count(log, "\ngoroutine ")
	if goroutines < 5 || goroutines > 80 {
		f.T.Errorf("it ends with %d goroutines", goroutines)
	}
	f.T.Logf("%d bad messages: %d lines, %+v before, %+v after, %d goroutines", f.sent, written, before, after, goroutines)
}

// newFlood is a rig whose second client is served, and warm.
func newFlood(t *testing.T, seed uint64, links ...string) (f *flood, before size) {
	t.Helper()
	r := start(t, plan{clients: 2, links: links})
	f = &flood{network: r, random: rand.New(rand.NewPCG(seed, 5)), good: r.Play(2, rig.DUID(2))}
	r.obtain(f.good, 1)
	r.WantRoute(r.book.Prefix(rig.DUID(2), 1), 2)
	return f, r.size()
}

// TestRubbishFromClients: tens of thousands of broken messages on one link cost
// the client of another nothing, and the relay no memory, files or disk.
// On a trusted link they may be in relay layers, whose number is limited.
func TestRubbishFromClients(t *testing.T) {
	for link, reasons := range map[string][]string{
		"trusted: false": {"empty", "untrusted-relay", "server-message"},
		"trusted: true":  {"empty", "malformed", "hop-limit", "server-message"},
	} {
		t.Run(link, func(t *testing.T) {
			f, before := newFlood(t, 20, link)
			f.fromClient(reasons)
			f.clean(before, 1000)
		})
	}
}

// fromClient sends rubbish from the first client; it must be dropped for these
// reasons at least.
func (f *flood) fromClient(reasons []string) {
	t := f.T
	bad := f.Play(1, rig.DUID(1))
	asks := [][]byte{
		bad.Message(dhcp6.Solicit, script.IAPD(1)),
		bad.Message(dhcp6.Solicit, script.Option(dhcp6.OptionRapidCommit), script.IAPD(1), script.IAPD(2)),
		request(bad, 1),
		bad.Message(dhcp6.Renew, script.ServerID(script.DefaultServerDUID), script.IAPD(1, dhcp6.IAPrefix{Prefix: f.book.Prefix(rig.DUID(1), 1), Preferred: 1, Valid: 2})),
		bad.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(1, dhcp6.IAPrefix{Prefix: f.book.Prefix(rig.DUID(2), 1)})),
		bad.Message(dhcp6.MessageType(36)),
	}
	for _, layers := range []int{1, 2, 8, 9, 20} {
		asks = append(asks, nested(asks[0], layers))
	}
	for _, whole := range asks { // every truncation
		for n := range whole {
			bad.Send(whole[:n])
			f.after()
		}
	}
	for range 24000 {
		bad.Send(mutate(f.random, asks[f.random.IntN(len(asks))]))
		f.after()
	}
	f.WantRoute(f.book.Prefix(rig.DUID(2), 1), 2) // nobody has released it
	c := f.Fairlead.Counts("d1")
	if taken(c) < f.sent/2 {
		t.Errorf("of %d messages %d were taken or dropped by name: the rest was never looked at", f.sent, taken(c))
	}
	for _, reason := range reasons {
		if c.Drops[reason] == 0 {
			t.Errorf("no message was dropped for %s: %v", reason, c.Drops)
		}
	}
}

// TestRubbishFromTheServer: the same from the server's address: broken, nested
// and forged Relay-replies.
func TestRubbishFromTheServer(t *testing.T) {
	// A server may give a prefix that nobody claims to another. That is not what is asked here.
	f, before := newFlood(t, 21, `delegable: [{prefix: "2001:db8:1100::/40", lengths: 56}]`, "lease-move: deny")
	bad := f.Play(1, rig.DUID(1))
	f.obtain(bad, 1)
	var asked script.Request
	for _, q := range f.Played.Received() {
		if id, _ := q.Message.ClientID(); q.Message.Type() == dhcp6.Request && bytes.Equal(id, rig.DUID(1)) {
			asked = q
		}
	}
	grants := f.book.Grants().Answer(asked)
	inner := dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 1)
	inner = dhcp6.AppendClientID(inner, rig.DUID(1))
	deep := inner
	for range 12 {
		deep = asked.Wrap(deep)
	}
	replies := [][]byte{grants[0], asked.Wrap(inner), asked.Wrap(asked.Wrap(inner)), deep, inner}
	for _, whole := range replies {
		for n := range whole {
			f.Played.Send(rig.ToRelay, whole[:n])
			f.after()
		}
	}
	for range 16000 {
		f.Played.Send(rig.ToRelay, mutate(f.random, replies[f.random.IntN(len(replies))]))
		f.after()
	}
	for p := range f.routes() {
		if p.Bits() != 56 || !lab.Delegable(1).Contains(p.Addr()) {
			t.Errorf("%s is routed, and may not be delegated", p)
		}
	}
	f.WantRoute(f.book.Prefix(rig.DUID(2), 1), 2)
	f.clean(before, 3000)
}

// TestForgedReplies: a Relay-reply that comes from a client's link counts for
// nothing, even from the server's own address and port.
func TestForgedReplies(t *testing.T) {
	r := start(t, plan{clients: 2})
	good := r.Play(2, rig.DUID(2))
	r.obtain(good, 1)
	asked := r.Played.Received()[len(r.Played.Received())-1]
	r.Client(1).Batch("addr add " + lab.ServerAddress.String() + "/128 dev c0 nodad")
	forger := r.Client(1).PlayAs(script.ClientConfig{Source: lab.ServerAddress, Port: dhcp6.ServerPort})
	forged := netip.MustParsePrefix("2001:db8:bad::/48")
	grant := script.Grants{Prefixes: script.Always(dhcp6.IAPrefix{Prefix: forged, Preferred: 100, Valid: 200})}
	var err error
	asked.Message, err = dhcp6.ParseMessage(asked.Inner)
	r.Need(err)
	reply := grant.Answer(asked)[0]
	for _, to := range []netip.Addr{lab.LinkAddress(1), lab.RelayAddress, lab.LinkAddress(2), dhcp6.AllRelayAgentsAndServers} {
		forger.SendTo(to, reply)
	}
	r.Until("the forgeries are counted", func() bool { return r.Fairlead.Counts("d1").Drops["reply-from-client-link"] > 0 })
	r.obtain(good, 2)
	if got := r.routes()[forged]; got != "" {
		t.Errorf("a forged prefix is routed %s", got)
	}
	for {
		p, err := good.Client.Receive(quiet)
		if err != nil {
			break
		}
		if bytes.Contains(p.Data, forged.Addr().AsSlice()[:6]) {
			t.Errorf("the client was given a forged message: %x", p.Data)
		}
	}

	// The same from the server is believed: the forgery was no nonsense.
	r.Played.Send(rig.ToRelay, reply)
	r.WantRoute(forged, 2)
}

// taken is how many messages were either taken or dropped by name.
func taken(c rig.Counts) (sum int) {
	for _, m := range []map[string]int{c.Received, c.Drops} {
		for _, n := range m {
			sum += n
		}
	}
	return sum
}

// TestHugeMessages: a message of nearly 64 KiB goes both ways, in fragments, with
// all its octets; one that has no room for what a relay adds is dropped and
// counted; fragments without end cost nothing.
func TestHugeMessages(t *testing.T) {
	f, before := newFlood(t, 22)
	c := f.Play(1, rig.DUID(1))
	rest := make([]byte, 60000)
	for i := range rest {
		rest[i] = byte(f.random.Uint32())
	}
	filler := script.Option(65000, rest...)
	f.Played.Become(func(q script.Request) [][]byte {
		g := f.book.Grants()
		if len(q.Inner) > 60000 {
			g.Options = filler
		}
		return g.Answer(q)
	})
	message := c.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(1), filler)
	reply := c.Exchange(message)
	if got, _ := reply.Options().First(65000); !bytes.Equal(got, rest) {
		t.Errorf("%d octets came back, want the %d that the server sent", len(got), len(rest))
	}
	f.WantRoute(f.book.Prefix(rig.DUID(1), 1), 1)
	f.Played.Await(message)

	const most = 65535 - 8 // of a UDP datagram
	huge := c.Message(dhcp6.Request, script.IAPD(1))
	huge = dhcp6.AppendOption(huge, 65000, make([]byte, most-len(huge)-4))
	f.Until("the largest message is dropped and counted", func() bool {
		c.Send(huge)
		return f.Fairlead.Counts("d1").Drops["too-big"] > 0
	})
	for range 60 {
		c.Send(mutated(f.random, message))
		f.after()
	}
	f.torn(4000)
	f.clean(before, 500)
}

// mutated changes some octets of a huge message and keeps its length.
func mutated(random *rand.Rand, message []byte) []byte {
	b := bytes.Clone(message)
	for range 16 {
		b[random.IntN(200)] ^= byte(random.Uint32())
	}
	return b
}

// torn sends that many first fragments, the rest of which never comes, from the
// client's first link.
func (f *flood) torn(count int) {
	f.T.Helper()
	source := f.Client(1).LinkLocal("c0")
	c0 := f.Client(1).Interface("c0")
	fd := -1
	f.Client(1).Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	defer unix.Close(fd)
	to := &unix.SockaddrInet6{ZoneId: uint32(c0.Index), Addr: dhcp6.AllRelayAgentsAndServers.As16()}
	for id := range count {
		const part = 64 // octets of the datagram in the first fragment
		b := []byte{0x60, 0, 0, 0, 0, 8 + part, 44, 1}
		b = append(append(b, source.AsSlice()...), dhcp6.AllRelayAgentsAndServers.AsSlice()...)
		b = binary.BigEndian.AppendUint32(append(b, 17, 0, 0, 1), uint32(id)) // more follows
		b = append(b, 2, 34, 2, 35, 4, 0, 0, 0, byte(dhcp6.Solicit), 1, 2, 3)
		b = append(b, make([]byte, 40+8+part-len(b))...)
		f.Need(lab.Insist(func() error { return unix.Sendto(fd, b, 0, to) }))
		f.after()
	}
}

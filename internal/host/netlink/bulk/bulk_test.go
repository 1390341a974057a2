package bulk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Conn {
	t.Helper()
	runtime.LockOSThread() // the thread ends with the test, and the namespace with the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v (root is needed)", err)
	}
	c, err := Open(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// unreachable appends a request for an unreachable route to 2001:db8:N::/48.
func unreachable(b []byte, n uint16, kind, flags uint16) []byte {
	b, start := Begin(b, kind, flags, unix.AF_INET6, 48, 0, 0, unix.RT_TABLE_MAIN, 87, 0, unix.RTN_UNREACHABLE, 0, 0, 0, 0)
	dst := [16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 8), byte(n)}
	return End(Attr(b, unix.RTA_DST, dst[:]), start)
}

const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL | unix.NLM_F_ACK

// Each message gets its own answer, at its own index.
func TestAnswers(t *testing.T) {
	c := open(t)
	b := unreachable(nil, 1, unix.RTM_NEWROUTE, create)
	b = unreachable(b, 1, unix.RTM_NEWROUTE, create)
	b = unreachable(b, 2, unix.RTM_DELROUTE, 0) // it fails, and did not ask for an answer
	b = unreachable(b, 3, unix.RTM_NEWROUTE, create&^unix.NLM_F_ACK)
	b = unreachable(b, 1, unix.RTM_DELROUTE, unix.NLM_F_ACK)
	answers, err := c.Exchange(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []error{nil, unix.EEXIST, unix.ESRCH, nil, nil}
	if !slices.EqualFunc(answers, want, func(got, want error) bool { return errors.Is(got, want) }) {
		t.Errorf("answers %v, want %v", answers, want)
	}
}

// A refusal has the kernel's own text.
func TestRefusalText(t *testing.T) {
	c := open(t)
	b, start := Begin(nil, unix.RTM_NEWROUTE, create, unix.AF_INET6, 129, 0, 0, unix.RT_TABLE_MAIN, 87, 0, unix.RTN_UNREACHABLE, 0, 0, 0, 0)
	answers, err := c.Exchange(End(b, start), nil)
	if err != nil {
		t.Fatal(err)
	}
	var r *Refusal
	if !errors.As(answers[0], &r) || r.Errno != unix.EINVAL || r.Text == "" {
		t.Errorf("answer %#v, want EINVAL with a text", answers[0])
	}
}

// A full batch gets all its answers.
func TestLimit(t *testing.T) {
	c := open(t)
	var b []byte
	for n := range c.Limit() {
		b = unreachable(b, uint16(n), unix.RTM_NEWROUTE, create)
	}
	for range 3 {
		answers, err := c.Exchange(b, nil)
		if err != nil || len(answers) != c.Limit() {
			t.Fatalf("%d answers, %v, want %d", len(answers), err, c.Limit())
		}
		for i, a := range answers {
			if errors.Is(a, ErrNoAnswer) {
				t.Fatalf("answer %d of %d was lost", i, c.Limit())
			}
		}
	}
}

// When answers are lost, none counts as success.
func TestLostAnswers(t *testing.T) {
	c := open(t)
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	var b []byte
	for n := range uint16(100) {
		b = unreachable(b, n, unix.RTM_DELROUTE, 0) // each of them fails, and none asks for an answer
	}
	answers, err := c.Exchange(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for i, a := range answers {
		switch {
		case errors.Is(a, ErrNoAnswer):
			lost++
		case !errors.Is(a, unix.ESRCH):
			t.Errorf("answer %d: %v, want ESRCH or none", i, a)
		}
	}
	if lost == 0 {
		t.Error("no answer was lost; the test shows nothing")
	}
}

// Octets that are no message are not sent.
func TestExchangeRefusesNonsense(t *testing.T) {
	c := open(t)
	for _, length := range []uint32{0, 15, 17, 1 << 31} {
		b := make([]byte, 16)
		binary.NativeEndian.PutUint32(b, length)
		if _, err := c.Exchange(b, nil); err == nil {
			t.Errorf("length %d: no error", length)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exchange(unreachable(nil, 1, unix.RTM_NEWROUTE, create), nil); !errors.Is(err, unix.EBADF) {
		t.Errorf("after close: %v, want EBADF", err)
	}
}

// A dump ends with an error, or with the kernel's end of the dump.
func TestDump(t *testing.T) {
	c := open(t)
	b, start := Begin(nil, unix.RTM_GETLINK, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfInfomsg)...)
	n := 0
	if err := c.Dump(End(b, start), 1, func() { n = 0 }, func(uint16, []byte) { n++ }); err != nil || n == 0 {
		t.Errorf("links: %d, %v", n, err)
	}
	b, start = Begin(nil, unix.RTM_GETROUTE, unix.NLM_F_DUMP, unix.AF_INET6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	if err := c.Dump(End(b, start), 1, func() {}, func(uint16, []byte) {}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("dump of nonsense: %v, want EINVAL", err)
	}
}

// each and Attrs read what Begin, Attr and Nest write. If it is cut short anywhere, they read
// less, and nothing beyond.
func TestMessageRoundTrip(t *testing.T) {
	b, start := Begin(nil, 7, unix.NLM_F_ACK, 1, 2, 3)
	b = AttrString(Attr(b, 3, []byte{9}), 4, "name")
	b, nest := Nest(b, 5)
	b = EndNest(AttrUint32(b, 6, 0x01020304), nest)
	b = End(b, start)

	read := func(b []byte) (found string) {
		each(b, func(m message) bool {
			found += fmt.Sprintf("message %d %x;", m.kind, m.body[:min(4, len(m.body))])
			Attrs(m.body[min(4, len(m.body)):], func(kind uint16, v []byte) {
				found += fmt.Sprintf(" %d=%x", kind, v)
				if kind == 5 {
					Attrs(v, func(kind uint16, v []byte) { found += fmt.Sprintf(" %d=%x", kind, binary.NativeEndian.Uint32(v)) })
				}
			})
			return true
		})
		return found
	}
	if got, want := read(b), "message 7 01020300; 3=09 4=6e616d6500 5="; len(got) < len(want) || got[:len(want)] != want || got[len(got)-10:] != " 6=1020304" {
		t.Errorf("read %q", got)
	}
	for n := range b {
		if got := read(b[:n]); got != "" {
			t.Errorf("first %d octets: read %q, want nothing", n, got)
		}
		cut := slices.Clone(b[:n])
		if n >= headerLen {
			binary.NativeEndian.PutUint32(cut, uint32(n))
			read(cut) // the attributes are cut, not the message: no panic
		}
	}
}

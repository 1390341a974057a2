package ipsec

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
)

// wantWorks checks that the next call works in spite of what happened before.
func wantWorks(t *testing.T, s *Strongswan) {
	t.Helper()
	s.loaded["fairlead-relay-a"] = loaded{shared: "fairlead-relay-a"}
	seen, err := s.Observe(t.Context())
	if err != nil {
		t.Fatalf("the next call: %v", err)
	}
	if !slices.Equal(seen.Connections, []string{"a"}) || len(seen.IKE) != 0 {
		t.Errorf("the next call sees %+v", seen)
	}
}

// once runs a script for the first connection; later connections are honest.
func once(script func(*line)) func(*line) {
	return func(l *line) {
		if l.number == 0 {
			script(l)
			return
		}
		honest(l)
	}
}

// conversation is what an honest charon sends during an Observe.
var conversation = [][]byte{
	packet(isResponse, items("conns", "fairlead-relay-a")),
	packet(isResponse, items("keys", "fairlead-relay-a")),
	packet(isResponse, items("keys")),
	packet(isConfirm),
	event("list-sa", inside("fairlead-relay-a", kv("uniqueid", "1"))),
	packet(isResponse),
	packet(isConfirm),
}

// answers is how many packets of the conversation answer the nth request.
func answers(n int) int {
	if n == 4 {
		return 2 // the event, and the end of the stream
	}
	return 1
}

// recite sends the conversation with one part changed, and then ends as asked.
func recite(part int, change func([]byte) []byte, end func(*line)) func(*line) {
	return func(l *line) {
		for n := 0; n < len(conversation); n += answers(n) {
			if _, _, err := l.ask(); err != nil {
				return
			}
			for i := n; i < n+answers(n); i++ {
				if i == part {
					_ = l.say(change(conversation[i]))
					end(l)
					return
				}
				if l.say(conversation[i]) != nil {
					return
				}
			}
		}
		l.rest()
	}
}

// The conversation is what charon really sends: sent as it is, it gives no error.
func TestConversation(t *testing.T) {
	s := scripted(t, recite(-1, nil, nil))
	s.loaded["fairlead-relay-a"] = loaded{shared: "fairlead-relay-a"}
	seen, err := s.Observe(t.Context())
	if err != nil || len(seen.IKE) != 1 || !slices.Equal(seen.Connections, []string{"a"}) {
		t.Errorf("observed %+v, %v", seen, err)
	}
}

// If a connection is cut at any octet of any answer, that is an error, and no later call suffers.
func TestCut(t *testing.T) {
	last := len(conversation) - 1 // the end of a subscription, which nobody needs
	for part, whole := range conversation[:last] {
		for n := range whole {
			s := scripted(t, once(recite(part, func(b []byte) []byte { return b[:n] }, func(*line) {})))
			s.loaded["fairlead-relay-a"] = loaded{shared: "fairlead-relay-a"}
			_, err := s.Observe(t.Context())
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err) {
				t.Fatalf("answer %d cut after %d octets: %v", part, n, err)
			}
			wantWorks(t, s)
		}
	}
}

// isReset reports whether the peer closed the connection while a request of ours was under way.
func isReset(err error) bool {
	return errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
}

// A charon that does not answer costs one deadline.
func TestHang(t *testing.T) {
	for part, whole := range conversation[:len(conversation)-1] {
		for _, n := range []int{0, 3, 4, len(whole) - 1} {
			s := scripted(t, once(recite(part, func(b []byte) []byte { return b[:n] }, (*line).rest)))
			s.session.limit = 20 * time.Millisecond
			_, err := s.Observe(t.Context())
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("answer %d ends after %d octets: %v", part, n, err)
			}
			s.session.limit = patience
			wantWorks(t, s)
		}
	}
}

// A caller whose context is cancelled does not wait, nor does the caller behind it.
func TestCancel(t *testing.T) {
	asked := make(chan struct{})
	s := scripted(t, once(func(l *line) {
		_, _, _ = l.ask()
		close(asked)
		l.rest()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := s.Observe(ctx)
		first <- err
	}()
	<-asked
	second, give := context.WithCancel(t.Context())
	give()
	if _, err := s.Observe(second); !errors.Is(err, context.Canceled) {
		t.Errorf("the second in the queue: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	wantWorks(t, s)
}

// What is not VICI is refused before the library sees it.
func TestGarbage(t *testing.T) {
	deep := []byte{}
	for range 1000 {
		deep = append(deep, 1, 1, 'x')
	}
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for name, bad := range map[string][]byte{
		"no length":         {0, 0, 0, 0},
		"huge length":       {0xff, 0xff, 0xff, 0xff, 1},
		"beyond the limit":  append([]byte{0, 8, 0, 1}, make([]byte, 1<<19+1)...),
		"unknown packet":    packet(8),
		"unknown element":   packet(isResponse, []byte{7}),
		"zero element":      packet(isResponse, []byte{0}),
		"key too long":      packet(isResponse, []byte{3, 200, 'k'}),
		"value too long":    packet(isResponse, []byte{3, 1, 'k', 0xff, 0xff, 'v'}),
		"value without end": packet(isResponse, []byte{3, 1, 'k', 0}),
		"open list":         packet(isResponse, []byte{4, 1, 'l'}),
		"item outside":      packet(isResponse, []byte{5, 0, 0}),
		"list in a list":    packet(isResponse, []byte{4, 1, 'l', 4, 1, 'm', 6, 6}),
		"open section":      packet(isResponse, []byte{1, 1, 's'}),
		"end of nothing":    packet(isResponse, []byte{2}),
		"very deep":         packet(isResponse, deep),
		"event too early":   event("list-sa"),
		"nameless event":    packet(isEvent, []byte{9}),
		"noise":             append(binary.BigEndian.AppendUint32(nil, uint32(len(noise)+1)), append([]byte{9}, noise...)...),
	} {
		t.Run(name, func(t *testing.T) {
			s := scripted(t, once(func(l *line) {
				_, _, _ = l.ask()
				_ = l.say(bad)
				l.rest()
			}))
			if _, err := s.Observe(t.Context()); err == nil || !strings.Contains(err.Error(), "get-conns: ") || !strings.Contains(err.Error(), errFrame.Error()) {
				t.Errorf("error: %v", err)
			}
			wantWorks(t, s)
		})
	}
}

// These answers are well formed, and do not belong to the question.
func TestOutOfOrder(t *testing.T) {
	for name, odd := range map[string][]byte{
		"confirmation":    packet(isConfirm),
		"refused event":   packet(isRefused),
		"unknown command": packet(isUnknown),
	} {
		t.Run(name, func(t *testing.T) {
			s := scripted(t, once(func(l *line) {
				_, _, _ = l.ask()
				_ = l.say(odd)
				l.rest()
			}))
			if _, err := s.Observe(t.Context()); err == nil || !strings.Contains(err.Error(), "get-conns: ") {
				t.Errorf("error: %v", err)
			}
			wantWorks(t, s)
		})
	}
}

// An answer that nobody asked for is not taken for the answer to a later question.
func TestTwoAnswers(t *testing.T) {
	s := scripted(t, once(func(l *line) {
		_, _, _ = l.ask()
		_ = l.say(packet(isResponse, items("conns")), packet(isResponse, items("conns", "fairlead-relay-old")))
		for {
			if _, _, err := l.ask(); err != nil {
				return
			}
			_ = l.say(packet(isResponse))
		}
	}))
	s.session.limit = 50 * time.Millisecond
	seen, err := s.Observe(t.Context())
	if err == nil || len(seen.Connections) != 0 {
		t.Errorf("observed %+v, %v", seen, err)
	}
	s.session.limit = patience
	wantWorks(t, s)
}

// A refusal is reported in charon's words, and the connection stays open.
func TestRefusal(t *testing.T) {
	s := scripted(t, func(l *line) {
		for {
			_, name, err := l.ask()
			if err != nil {
				return
			}
			answer := packet(isResponse, kv("success", "no"), kv("errmsg", "no, "+name+" is too much for connection "+strconv.Itoa(l.number)))
			if l.say(answer) != nil {
				return
			}
		}
	})
	for range 2 {
		err := s.Initiate(t.Context(), &hop.Hop{Name: "a"}, "dhcp")
		var refusal *Refusal
		if !errors.As(err, &refusal) || *refusal != (Refusal{"initiate", "no, initiate is too much for connection 0"}) {
			t.Errorf("error: %v", err)
		}
	}
}

// There may be more SAs than the library has room for; none is lost.
func TestManySAs(t *testing.T) {
	const many = 3000
	s := scripted(t, func(l *line) {
		for {
			kind, name, err := l.ask()
			switch {
			case err != nil:
				return
			case kind == isRequest && name == "list-sas":
				for n := range many {
					owner := []string{"fairlead-relay-a", "theirs"}[n%2]
					if l.say(event("list-sa", inside(owner, kv("uniqueid", strconv.Itoa(n)), kv("state", "ESTABLISHED")))) != nil {
						return
					}
				}
				_ = l.say(packet(isResponse))
			case kind == isRequest:
				_ = l.say(packet(isResponse, items("conns"), items("keys")))
			default:
				_ = l.say(packet(isConfirm))
			}
		}
	})
	seen, err := s.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.IKE) != many/2 {
		t.Fatalf("%d SAs of ours were seen, of %d", len(seen.IKE), many/2)
	}
	for i, sa := range seen.IKE {
		if want := (hop.IKESA{Hop: "a", ID: uint32(2 * i), Established: true}); fmt.Sprint(sa) != fmt.Sprint(want) {
			t.Fatalf("SA %d is %+v, want %+v", i, sa, want)
		}
	}
}

// Everything that is read of an SA, as strongSwan writes it.
func TestReadSA(t *testing.T) {
	child := inside("dhcp-7",
		kv("name", "dhcp"), kv("uniqueid", "7"), kv("state", "INSTALLED"), kv("mode", "TRANSPORT"),
		kv("spi-in", "c91ecb9e"), kv("spi-out", "00000fff"), kv("encr-alg", "AES_CBC"), kv("encr-keysize", "128"),
		kv("integ-alg", "HMAC_SHA2_256_128"), kv("bytes-in", "5000000000"), kv("packets-in", "3"),
		kv("bytes-out", "4"), kv("packets-out", "2"), kv("install-time", "61"))
	gone := inside("dhcp-6", kv("name", "dhcp"), kv("uniqueid", "6"), kv("state", "REKEYED"))
	s := scripted(t, func(l *line) {
		for {
			kind, name, err := l.ask()
			switch {
			case err != nil:
				return
			case kind != isRequest:
				_ = l.say(packet(isConfirm))
			case name == "list-sas":
				_ = l.say(event("list-sa", inside("fairlead-relay-a~b", kv("uniqueid", "3"), kv("state", "ESTABLISHED"), kv("established", "90"),
					items("tasks-active", "IKE_DPD"), inside("child-sas", child, gone))), packet(isResponse))
			default:
				_ = l.say(packet(isResponse))
			}
		}
	})
	seen, err := s.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []hop.IKESA{{
		Hop: "a.b", ID: 3, Established: true, Age: 90 * time.Second, Probing: true,
		Children: []hop.ChildSA{
			{Selector: "dhcp", ID: 6},
			{
				Selector: "dhcp", ID: 7, Installed: true, SPIIn: 0xc91ecb9e, SPIOut: 0xfff, Algorithms: "AES_CBC-128/HMAC_SHA2_256_128",
				Age: 61 * time.Second, In: hop.Traffic{Packets: 3, Bytes: 5000000000}, Out: hop.Traffic{Packets: 2, Bytes: 4},
			},
		},
	}}
	if got := fmt.Sprintf("%+v", seen.IKE); got != fmt.Sprintf("%+v", want) {
		t.Errorf("read %s\nwant %+v", got, want)
	}
}

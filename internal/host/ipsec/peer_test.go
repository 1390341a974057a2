package ipsec

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"fairlead/internal/core/hop"
)

// patience bounds the wait for conditions that a slow machine may take long to reach.
const patience = 60 * time.Second

// The types of VICI packets (charon's README, "Packet layer"), written independently.
const (
	isRequest    = 0
	isResponse   = 1
	isUnknown    = 2
	isRegister   = 3
	isUnregister = 4
	isConfirm    = 5
	isRefused    = 6
	isEvent      = 7
)

func packet(kind byte, parts ...[]byte) []byte {
	body := slices.Concat(append([][]byte{{kind}}, parts...)...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func event(name string, parts ...[]byte) []byte {
	return packet(isEvent, slices.Insert(parts, 0, short(name))...)
}

func short(s string) []byte { return append([]byte{byte(len(s))}, s...) }
func long(s string) []byte  { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

func kv(key, value string) []byte { return slices.Concat([]byte{3}, short(key), long(value)) }

func items(key string, values ...string) []byte {
	b := append([]byte{4}, short(key)...)
	for _, v := range values {
		b = append(append(b, 5), long(v)...)
	}
	return append(b, 6)
}

func inside(name string, parts ...[]byte) []byte {
	return append(slices.Concat(append([]byte{1}, short(name)...), slices.Concat(parts...)), 2)
}

// line is one connection to the scripted charon.
type line struct {
	net.Conn
	number int // number of the connection, from 0
}

// ask reads a request: its type, and the name of its command or event.
func (l *line) ask() (kind byte, name string, err error) {
	var head [4]byte
	if _, err := io.ReadFull(l, head[:]); err != nil {
		return 0, "", err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(l, b); err != nil {
		return 0, "", err
	}
	return b[0], string(b[2 : 2+b[1]]), nil
}

func (l *line) say(parts ...[]byte) error {
	_, err := l.Write(slices.Concat(parts...))
	return err
}

// rest waits until the other side has closed the connection.
func (l *line) rest() { _, _ = io.Copy(io.Discard, l) }

// scripted is a Strongswan whose charon runs the script for each connection, and closes the
// connection when the script returns. At the end of the test no goroutine of it may be left.
func scripted(t *testing.T, script func(*line)) *Strongswan {
	t.Helper()
	before := runtime.NumGoroutine()
	path := filepath.Join(t.TempDir(), "vici")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var lines sync.WaitGroup
	lines.Go(func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			lines.Go(func() {
				defer conn.Close()
				script(&line{conn, n})
			})
		}
	})
	s := Open(Options{Socket: path, Owner: hop.OwnerRelay, Limit: patience})
	s.pause = time.Millisecond
	t.Cleanup(func() {
		s.Close()
		listener.Close()
		lines.Wait()
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<16)
				t.Fatalf("%d goroutines at first, %d at the end:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
	return s
}

// honest answers like a charon that has a connection of ours and one of another program, and no
// SAs.
func honest(l *line) {
	for {
		kind, name, err := l.ask()
		if err != nil {
			return
		}
		switch {
		case kind != isRequest:
			err = l.say(packet(isConfirm))
		case name == "get-conns":
			err = l.say(packet(isResponse, items("conns", "theirs", "fairlead-relay-a", "fairlead-guard-b")))
		case name == "get-shared":
			err = l.say(packet(isResponse, items("keys", "theirs", "fairlead-relay-a")))
		case name == "get-keys":
			err = l.say(packet(isResponse, items("keys")))
		case name == "list-sas":
			err = l.say(packet(isResponse))
		default:
			err = l.say(packet(isResponse, kv("success", "yes")))
		}
		if err != nil {
			return
		}
	}
}

package nft

import (
	"errors"
	"net/netip"
	"runtime"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// The number of others' transactions is right after the kernel's number has wrapped, which skips
// 0.
func TestOthersOf(t *testing.T) {
	const last = 1<<32 - 1
	for _, c := range []struct {
		number uint32
		own    uint64
		want   uint32
	}{
		{1, 0, 1},
		{8, 7, 1},
		{9, 7, 2},
		{last, 0, last},
		{last, last - 1, 1},
		{1, last, 1},          // the one after the last
		{2, last, 2},          // and one of another program
		{1, 1, last},          // all before were of other programs
		{5, 4 + 3*last, 1},    // after the third wrap
		{4, 4 + 3*last, last}, // one less means all but one more
	} {
		if got := othersOf(c.number, c.own); got != c.want {
			t.Errorf("number %d, %d of our own: %d, want %d", c.number, c.own, got, c.want)
		}
	}
}

// openHere opens a table in a new namespace, in which the calling goroutine then is.
func openHere(t *testing.T) *Table {
	t.Helper()
	runtime.LockOSThread() // the thread ends with the test, and the namespace with the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v (root is needed)", err)
	}
	table, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	return table
}

func numbered56(n int) hoststate.Element {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 16), byte(n >> 8), byte(n)}
	return hoststate.Element{Set: hoststate.SourceLink, Link: "c0", Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 56)}
}

func more(n int) hoststate.Op {
	e := numbered56(n)
	return hoststate.Op{Element: &e}
}

func less(n int) hoststate.Op {
	o := more(n)
	o.Remove = true
	return o
}

// This package relies on the kernel for this: each transaction that changes anything increases
// the number by one, and no other transaction does.
func TestGenerationCountsTransactions(t *testing.T) {
	table := openHere(t)
	for _, c := range []struct {
		name string
		fill func(x *transaction)
		want uint32
	}{
		{"nothing", func(*transaction) {}, 0},
		{"a set", func(x *transaction) { x.addSet(idOf(numbered56(1))) }, 1},
		{"a table that is there", func(x *transaction) { x.addTable() }, 0},
		{"an element", func(x *transaction) { x.element(more(1), true) }, 1},
		{"two elements", func(x *transaction) { x.element(more(2), false); x.element(more(3), true) }, 1},
		{"an element that is there", func(x *transaction) { x.element(more(2), true) }, 0},
		{"one that is there, and one that is not", func(x *transaction) { x.element(more(2), false); x.element(more(4), true) }, 0},
		{"one less", func(x *transaction) { x.element(less(2), true) }, 1},
		{"one less that is not there", func(x *transaction) { x.element(less(2), true) }, 0},
		{"one more and less", func(x *transaction) { x.element(more(5), false); x.element(less(5), true) }, 1},
		{"a rule", func(x *transaction) { x.addLookup(idOf(numbered56(1))) }, 1},
	} {
		before, err := table.generation()
		if err != nil {
			t.Fatal(err)
		}
		x := begin(nil, unix.NFPROTO_INET, Name)
		c.fill(x)
		if _, err := table.send(x); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		after, err := table.generation()
		if err != nil {
			t.Fatal(err)
		}
		if after-before != c.want {
			t.Errorf("%s: the number grew by %d, want %d", c.name, after-before, c.want)
		}
	}
}

// If answers are lost, it is not known whether the request was carried out: that is a lapse.
func TestLostAnswersAreALapse(t *testing.T) {
	const tooMany = 60_000 // for the socket's buffer
	table := openHere(t)
	before, err := table.Version()
	if err != nil {
		t.Fatal(err)
	}
	x := begin(nil, unix.NFPROTO_INET, Name)
	x.addSet(idOf(numbered56(1)))
	for i := range tooMany {
		x.element(less(i), i == tooMany-1) // the kernel refuses each of them
	}
	answers, err := table.send(x)
	if err != nil {
		t.Fatal(err)
	}
	lost := false
	for _, a := range answers {
		lost = lost || errors.Is(a, bulk.ErrNoAnswer)
	}
	if !lost {
		t.Fatal("no answer was lost; the test shows nothing")
	}
	if after, err := table.Version(); err != nil || after == before {
		t.Errorf("the Version is %+v, %v, as before", after, err)
	}
}

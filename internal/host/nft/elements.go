package nft

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"
	"fairlead/internal/wire/linkaddr"

	"golang.org/x/sys/unix"
)

const (
	nameLen  = unix.IFNAMSIZ
	etherLen = 8 // 6 octets and padding
	addrLen  = 16
)

// maxTransaction is how many elements change together. maxTries bounds how often one transaction
// is tried again after operations that the kernel refuses were taken out of it.
const (
	maxTransaction = 2048
	maxTries       = 6
)

// appendKey appends the key of an element, in the form of its set.
func appendKey(b []byte, e hoststate.Element) []byte {
	var name [nameLen]byte
	copy(name[:], e.Link)
	b = append(b, name[:]...)
	if e.Set == hoststate.Hairpin {
		b = append(b, name[:]...)
	}
	if e.Set.HasLinkLayer() {
		b = append(e.LinkLayer.Append(b), 0, 0)
	}
	if e.Set.HasPrefix() {
		a := e.Prefix.Addr().As16()
		b = append(b, a[:]...)
	}
	return b
}

// parseKey is the inverse of appendKey. ok is false for a key that appendKey does not make. The
// name of each interface is stored once, in names.
func parseKey(id setID, b []byte, names map[string]string) (e hoststate.Element, ok bool) {
	want := nameLen
	switch {
	case id.family == hoststate.Hairpin:
		want += nameLen
	case id.family.HasLinkLayer():
		want += etherLen
	}
	if id.family.HasPrefix() {
		want += addrLen
	}
	if len(b) != want {
		return e, false
	}
	raw := bytes.TrimRight(b[:nameLen], "\x00")
	name, known := names[string(raw)]
	if !known {
		name = string(raw)
		names[name] = name
	}
	e = hoststate.Element{Set: id.family, Link: name}
	if id.family.HasLinkLayer() {
		e.LinkLayer = linkaddr.From(b[nameLen : nameLen+6])
	}
	if id.family.HasPrefix() {
		a, length := netip.AddrFrom16([16]byte(b[len(b)-addrLen:])), id.length
		if a.Is4In6() && length >= ipv4Bits {
			a, length = a.Unmap(), length-ipv4Bits
		}
		e.Prefix = netip.PrefixFrom(a, length)
	}
	return e, true
}

// check says why no set can hold an element; nil: one can.
func check(e hoststate.Element) error {
	switch {
	case !e.Set.Valid():
		return errors.New("no such set")
	case e.Link == "" || len(e.Link) >= nameLen:
		return errors.New("not an interface name")
	case e.Set.HasLinkLayer() && e.LinkLayer.Len() != 6:
		return errors.New("not an Ethernet address")
	case e.Set.HasPrefix() && (!e.Prefix.IsValid() || e.Prefix.Addr().Is4In6() || e.Prefix != e.Prefix.Masked()):
		return errors.New("not a masked prefix")
	}
	return nil
}

// part is one operation of a transaction.
type part struct {
	hoststate.Op
	at int // its index in the caller's list
}

// Apply carries out the element operations among ops, in order, and skips the others. Some
// thousands at a time take effect together, or not at all. To add an element that is there, and
// to remove one that is not, is a success. For each operation that the kernel refuses, failed is
// called with its index in ops and the reason; the others take effect all the same. An error that
// Apply returns says that nftables does not work; then nothing is known of the other operations.
func (t *Table) Apply(ops []hoststate.Op, failed func(i int, err error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.applyAll(ops, func(i int, err error) {
		t.lapses++
		failed(i, err)
	})
	if err != nil {
		t.lapses++
	}
	return err
}

func (t *Table) applyAll(ops []hoststate.Op, failed func(i int, err error)) error {
	limit := min(maxTransaction, t.bulk.Limit()/2)
	parts := make([]part, 0, min(len(ops), limit))
	for i, op := range ops {
		if op.Element == nil {
			continue
		}
		if err := check(*op.Element); err != nil {
			failed(i, fmt.Errorf("element %v: %w", op.Element, err))
			continue
		}
		parts = append(parts, part{Op: op, at: i})
		if len(parts) == limit {
			if err := t.change(parts, failed); err != nil {
				return err
			}
			parts = parts[:0]
		}
	}
	return t.change(parts, failed)
}

// change carries out a group of operations.
func (t *Table) change(parts []part, failed func(i int, err error)) error {
	for range maxTries {
		if parts = t.prepare(parts); len(parts) == 0 {
			return nil
		}
		if err := t.ensure(parts); err != nil {
			return err
		}
		x := t.begin()
		for i, p := range parts {
			x.element(p.Op, i == len(parts)-1)
		}
		answers, err := t.send(x)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(answers, isError) {
			return nil
		}
		left, missing := judge(parts, answers[1:], failed)
		if missing {
			if err := t.rebuild(); err != nil {
				return err
			}
		}
		parts = left
	}
	for _, p := range parts {
		failed(p.at, fmt.Errorf("element %v: %w", p.Element, bulk.ErrNoAnswer))
	}
	return nil
}

// prepare drops removals from sets that have never been made.
func (t *Table) prepare(parts []part) []part {
	made := map[setID]bool{}
	return slices.DeleteFunc(parts, func(p part) bool {
		id := idOf(*p.Element)
		if !p.Remove {
			made[id] = true
		}
		return p.Remove && !t.sets[id] && !made[id]
	})
}

// ensure makes the sets that are needed for the first time, each with the rule that looks into
// it.
func (t *Table) ensure(parts []part) error {
	fresh := map[setID]bool{}
	for _, p := range parts {
		if id := idOf(*p.Element); !t.sets[id] {
			fresh[id] = true
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	for _, id := range gates {
		if !t.sets[id] {
			return t.rebuild()
		}
	}
	x := t.begin()
	ids := slices.SortedFunc(maps.Keys(fresh), compareIDs)
	for _, id := range ids {
		x.addSet(id)
	}
	for _, id := range ids {
		x.addLookup(id)
	}
	x.addLongest(slices.AppendSeq(ids, maps.Keys(t.sets)))
	if err := t.commit(x); err != nil {
		if !errors.Is(err, unix.ENOENT) {
			return err
		}
		return t.rebuild() // another program has removed the table
	}
	maps.Copy(t.sets, fresh)
	var err error
	t.print, err = t.fingerprint()
	return err
}

// judge takes operations that must not be tried again out of a failed transaction. missing says
// that another program has removed a set or the table.
func judge(parts []part, answers []error, failed func(i int, err error)) (left []part, missing bool) {
	left = parts[:0]
	for i, p := range parts {
		answer := answers[i]
		switch {
		case answer == nil, isUnknown(answer):
		case errors.Is(answer, unix.ENOENT) && p.Remove, errors.Is(answer, unix.EEXIST) && !p.Remove:
			continue // the element is there, or is gone, already
		case errors.Is(answer, unix.ENOENT):
			missing = true
		default:
			failed(p.at, fmt.Errorf("element %v: %w", p.Element, answer))
			continue
		}
		left = append(left, p)
	}
	return left, missing
}

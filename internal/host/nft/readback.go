package nft

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Elements calls found with every element of all our sets, once each. The kernel needs a second
// to list a set of a hundred thousand elements, during which changes go on: an element that
// changes may be listed or not.
func (t *Table) Elements(found func(hoststate.Element)) error {
	t.mu.Lock()
	err := t.findSets()
	ids := slices.SortedFunc(maps.Keys(t.sets), compareIDs)
	t.mu.Unlock()
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, id := range ids {
		keys, err := t.read(id, 2)
		if errors.Is(err, bulk.ErrInterrupted) {
			// There are so many changes that they have to wait.
			t.mu.Lock()
			keys, err = t.read(id, bulk.Tries)
			t.mu.Unlock()
		}
		if err != nil {
			return fmt.Errorf("nft: set %s: %w", id, err)
		}
		for k := range keys {
			if e, ok := parseKey(id, k.octets[:k.length], names); ok {
				found(e)
			}
		}
	}
	return nil
}

// key is an element in the form of the kernel.
type key struct {
	octets [2*nameLen + etherLen]byte
	length uint8
}

// maxReads bounds how often a set is read until all of it was read. growTime is the pause between
// two readings; it becomes longer.
const (
	maxReads = 40
	growTime = 2 * time.Millisecond
)

// read reads one set; tries is how often the set may change during that. After many additions the
// kernel goes on enlarging its hash table for a while. A listing during that time has as many
// elements as the set, but lists some of them twice and others not at all. Then the set is read
// again, until as many different elements were seen.
func (t *Table) read(id setID, tries int) (map[key]struct{}, error) {
	b := request(nil, t.family, unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP)
	b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_TABLE, t.name)
	b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_SET, id.String())
	b = bulk.End(b, 0)
	keys := map[key]struct{}{}
	for try := range time.Duration(maxReads) {
		listed := 0
		restart := func() {
			listed = 0
			clear(keys)
		}
		if try > 0 {
			restart = func() { listed = 0 }
		}
		err := t.reader.Dump(b, tries, restart, func(_ uint16, body []byte) {
			eachKey(body, func(octets []byte) {
				listed++
				k := key{length: uint8(len(octets))}
				if copy(k.octets[:], octets) == len(octets) {
					keys[k] = struct{}{}
				}
			})
		})
		if err != nil || len(keys) >= listed {
			return keys, err
		}
		time.Sleep(try * growTime)
	}
	return nil, bulk.ErrInterrupted
}

// eachKey walks the keys in an answer about the elements of a set.
func eachKey(body []byte, f func(key []byte)) {
	eachElement(body, func(elem []byte) {
		bulk.Attrs(elem, within(unix.NFTA_SET_ELEM_KEY, func(key []byte) {
			bulk.Attrs(key, within(unix.NFTA_DATA_VALUE, f))
		}))
	})
}

// eachElement walks the elements in such an answer.
func eachElement(body []byte, f func(elem []byte)) {
	if len(body) < sizeofNfgenmsg {
		return
	}
	bulk.Attrs(body[sizeofNfgenmsg:], within(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(list []byte) {
		bulk.Attrs(list, within(unix.NFTA_LIST_ELEM, f))
	}))
}

// within calls then with each attribute of one kind.
func within(kind uint16, then func([]byte)) func(uint16, []byte) {
	return func(k uint16, v []byte) {
		if k == kind {
			then(v)
		}
	}
}

package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"
	"fairlead/internal/wire/linkaddr"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// An element of a timed set remembers when a packet last matched it. Its timeout is so long that
// it never ends, and each packet that matches sets it back: the time that is left tells how long
// ago that was. (The expression "last" would tell it directly, but nft 1.0.6, which Debian 12
// has, crashes when it lists a table with that.) Packets only set back elements that are in the
// set: forged packets add nothing.
const (
	longTimeout = 10 * 365 * 24 * time.Hour
	// neverUsed is how long ago a new element counts as used. It is also how often the kernel
	// looks for elements whose timeout has ended; there are none.
	neverUsed = 24 * time.Hour
	// timedSize bounds the elements of a timed set. If a set says nothing, the kernel takes 65
	// 535. The kernel makes room for all of them at once, two words each.
	timedSize = 1 << 19
)

// remember sets back the timeout of the element whose key is in the registers.
func remember(id setID) match {
	return match{&expr.Dynset{SrcRegKey: regSet, SetName: id.String(), Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: longTimeout}}
}

// beginUsed appends the times of a new element. An element that is made again counts as used just
// now, because it is not known when it was.
func beginUsed(b []byte, again bool) []byte {
	left := longTimeout
	if !again {
		left -= neverUsed
	}
	b = bulk.Attr(b, unix.NFTA_SET_ELEM_TIMEOUT, milliseconds(longTimeout))
	return bulk.Attr(b, unix.NFTA_SET_ELEM_EXPIRATION, milliseconds(left))
}

func milliseconds(d time.Duration) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(d.Milliseconds()))
}

// LastUsed is how long ago a packet passed the filter that came from that link-layer address on
// the link and had a source in the prefix. It is a day at least if there was none since the lease
// began. known is false where the filter does not tell: it is off on the link, the address is not
// an Ethernet address, or no lease asks for it.
func (t *Table) LastUsed(link string, host linkaddr.Addr, p netip.Prefix) (ago time.Duration, known bool, err error) {
	for _, family := range []hoststate.Set{hoststate.SourceHolder, hoststate.SourceStrict} {
		e := hoststate.Element{Set: family, Link: link, LinkLayer: host, Prefix: p}
		if check(e) != nil {
			return 0, false, nil
		}
		if ago, known, err = t.lastUsed(e); known || err != nil {
			return ago, known, err
		}
	}
	return 0, false, nil
}

func (t *Table) lastUsed(e hoststate.Element) (ago time.Duration, known bool, err error) {
	b := request(nil, t.family, unix.NFT_MSG_GETSETELEM, unix.NLM_F_ACK)
	b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_TABLE, t.name)
	b = elements(b, hoststate.Op{Remove: true, Element: &e})
	err = t.reader.Dump(bulk.End(b, 0), 1, func() {}, func(_ uint16, body []byte) {
		eachElement(body, func(elem []byte) {
			bulk.Attrs(elem, within(unix.NFTA_SET_ELEM_EXPIRATION, func(v []byte) {
				if len(v) == 8 {
					known = true
					ago = max(0, longTimeout-time.Duration(min(binary.BigEndian.Uint64(v), uint64(longTimeout.Milliseconds())))*time.Millisecond)
				}
			}))
		})
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("nft: element %v: %w", e, err)
	}
	return ago, known, nil
}

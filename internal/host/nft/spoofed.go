package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead/internal/host/netlink/bulk"
	"fairlead/internal/wire/linkaddr"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// What is known of spoofed packets, besides their number. It costs something only for packets
// that are dropped. A link notes noteBurst sources at once, and then one in ten seconds: so a
// flood of forged sources takes no more room in the set than that.
var (
	spoofing       = filled{name: "spoofing", fields: []nftables.SetDatatype{nftables.TypeIFName}, size: maxNames}
	noting         = filled{name: "noting", fields: []nftables.SetDatatype{nftables.TypeIFName}, size: maxNames, timeout: 3 * time.Minute}
	spoofedSources = filled{
		name: "spoofed-sources", fields: []nftables.SetDatatype{nftables.TypeIFName, nftables.TypeEtherAddr, nftables.TypeIP6Addr},
		size: maxSpoofedSources, timeout: SpoofedRemembered,
	}
)

// SpoofedRemembered is how long a spoofed source is remembered after it was last noted.
const SpoofedRemembered = 10 * time.Minute

const (
	maxSpoofedSources = 8192
	noteBurst         = 10
	notesEachMinute   = 6
)

func noted() *expr.Limit {
	return &expr.Limit{Type: expr.LimitTypePkts, Rate: notesEachMinute, Unit: expr.LimitTimeMinute, Burst: noteBurst}
}

// noteSpoofed fills the chain through which every packet goes that is dropped for its source. The
// rules of this chain drop nothing: a set without room must not let a packet pass. A link that is
// not Ethernet has no link-layer address: it is zero there.
func (x *transaction) noteSpoofed() {
	x.rule(chainNoted, meta(expr.MetaKeyIIFNAME, 0), touch(spoofing, &expr.Counter{}))
	note := []match{meta(expr.MetaKeyIIFNAME, 0), withinRate(noting, noted())}
	for _, f := range families {
		remember := []match{f.address(source, 6), touch(spoofedSources)}
		x.rule(chainNoted, join([]match{f.is(), ethernet()}, note, []match{etherSource(4)}, remember)...)
		x.rule(chainNoted, join([]match{f.is(), notEthernet()}, note, []match{zeros(4, etherLen)}, remember)...)
	}
}

func join(parts ...[]match) (all []match) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func notEthernet() match {
	return match{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: regFirst},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regFirst, Data: binaryutil.NativeEndian.PutUint16(unix.ARPHRD_ETHER)},
	}
}

func zeros(reg uint32, n int) match {
	return match{&expr.Immediate{Register: regFirst + reg, Data: make([]byte, n)}}
}

// Spoofed tells what was dropped on one link for its source.
type Spoofed struct {
	Link    string
	Packets uint64
	// The source that was noted last; invalid if none was noted lately.
	Source    netip.Addr
	LinkLayer linkaddr.Addr
	Ago       time.Duration
}

// Spoofed reads what was dropped for its source since the table was made, by link.
func (t *Table) Spoofed() (map[string]Spoofed, error) {
	links := make(map[string]Spoofed)
	err := t.eachFilled(spoofing, func(e *filledElement) {
		if name := text(e.key); name != "" {
			links[name] = Spoofed{Link: name, Packets: e.counter.Packets}
		}
	})
	if err != nil {
		return nil, err
	}
	return links, t.eachFilled(spoofedSources, func(e *filledElement) {
		if len(e.key) != nameLen+etherLen+addrLen {
			return
		}
		name := text(e.key[:nameLen])
		l := links[name]
		ago := SpoofedRemembered - e.left
		if l.Source.IsValid() && l.Ago <= ago {
			return
		}
		l.Link, l.Ago = name, ago
		l.LinkLayer = linkaddr.Addr{}
		if mac := [6]byte(e.key[nameLen:]); mac != [6]byte{} {
			l.LinkLayer = linkaddr.From(mac[:])
		}
		l.Source = netip.AddrFrom16([addrLen]byte(e.key[nameLen+etherLen:])).Unmap()
		links[name] = l
	})
}

// filledElement is an element that rules have made.
type filledElement struct {
	key     []byte // valid during the call alone
	counter Counter
	left    time.Duration // time until it is removed
}

// eachFilled calls found with each element of a set that rules fill. Some elements may come
// twice.
func (t *Table) eachFilled(f filled, found func(*filledElement)) error {
	b := request(nil, t.family, unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP)
	b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_TABLE, t.name)
	b = bulk.AttrString(b, unix.NFTA_SET_ELEM_LIST_SET, f.name)
	b = bulk.End(b, 0)
	list := func(tries int) error {
		return t.reader.Dump(b, tries, func() {}, func(_ uint16, body []byte) {
			eachElement(body, func(elem []byte) {
				e := parseFilled(elem)
				found(&e)
			})
		})
	}
	err := list(2)
	if errors.Is(err, bulk.ErrInterrupted) {
		t.mu.Lock() // there are so many changes that they have to wait
		err = list(bulk.Tries)
		t.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("nft: set %s: %w", f.name, err)
	}
	return nil
}

func parseFilled(elem []byte) (e filledElement) {
	bulk.Attrs(elem, func(kind uint16, v []byte) {
		switch {
		case kind == unix.NFTA_SET_ELEM_KEY:
			bulk.Attrs(v, within(unix.NFTA_DATA_VALUE, func(key []byte) { e.key = key }))
		case kind == unix.NFTA_SET_ELEM_EXPIRATION && len(v) == 8:
			e.left = time.Duration(binary.BigEndian.Uint64(v)) * time.Millisecond
		case kind == unix.NFTA_SET_ELEM_EXPR:
			bulk.Attrs(v, within(unix.NFTA_EXPR_DATA, func(data []byte) { e.counter = parseCounter(data) }))
		}
	})
	return e
}

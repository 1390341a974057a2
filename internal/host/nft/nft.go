// Package nft carries out filter operations: the table inet fairlead, which is
// ours alone. It drops packets from client-facing links whose source is nobody's
// there (RFC 8987 R-3, RFC 2827), and packets that would go round between the
// host and a client (RFC 8987 R-5). Nothing but this table is ever touched.
//
// The package decides nothing: which elements there should be is
// core/hoststate's business. It does not use nft's interval sets, whose updates
// take milliseconds when there are many elements, but one hash set per prefix
// length in use, looked up with the masked address.
//
//	prerouting (raw)  IPv6, interface name in @checked -> source
//	                  IPv4, interface name in @checked-ipv4 -> source-ipv4, but for UDP to port 67
//	source            :: and fe80::/10 pass; then holders, permitted, stolen; the rest is spoofed: drop
//	holders           per length: name . ether . masked source: remember when, accept
//	permitted         per length: name . masked source: accept
//	stolen            per length: the right source with the wrong link-layer address -> misused
//	source-ipv4       0.0.0.0 passes; then as source, with addresses in the form of IPv6
//	spoofed, misused  noted, then drop
//	noted             counts the packet for its link, and keeps its source for a time
//	forward (filter)  IPv4, interface name in @checked-ipv4, UDP to port 67: drop
//	                  name in . name out in @hairpin, that is, both are one link -> hairpin
//	hairpin           exempt, looping
//	exempt            per length: name . masked destination: accept
//	looping           per length: name . [ether .] masked destination -> loop
//	loop              name in @rejecting: answer type 1 code 6, else drop
//
// Interfaces go by name, because an interface made anew has another index and
// would be open without a word. In a VRF the forward hook sees the VRF device as
// the input interface; there the name of the interface below it counts
// (sdifname). Prerouting sees that one first.
//
// Beside it a Guard is the tables of hops that IPsec protects (RFC 8213): what they
// hold is core/hop's GuardTable and FrameTable, with addresses in hash maps to
// counters.
//
// A Table and a Guard are safe for concurrent use. They belong to the network
// namespace of the thread that opened them.
package nft

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Name is the name of the table, in family inet.
const Name = "fairlead"

// layout is the name of an empty chain that tells which version of this package
// made the table. It changes when the sets change.
const layout = "layout-3"

// Options say how to open a Table. The zero value is what the product uses.
type Options struct {
	Name string // of the table; empty: Name
}

// Table is the filter table in the kernel.
type Table struct {
	reader  *bulk.Conn // long listings
	found   bool       // by Open
	foundID string
	bare    bool // it was empty when Open had opened it
	opened  Version

	mu sync.Mutex // guards all following fields
	session
	sets    map[setID]bool // those that are there
	storeID string         // see SetStoreID; empty: none
	print   [sha256.Size]byte
}

// setID is one set. Length is 0 for the families without a prefix.
type setID struct {
	family hoststate.Set
	length int
}

// gates are the sets without a prefix, which are always there.
var gates = []setID{{family: hoststate.Checked}, {family: hoststate.Rejecting}, {family: hoststate.Hairpin}, {family: hoststate.CheckedIPv4}}

// ipv4Bits is how much longer a prefix of IPv4 is in the form that sets have it in:
// ::ffff:0:0/96 (RFC 4291 section 2.5.5.2), so that one set serves both families.
const ipv4Bits = 96

func idOf(e hoststate.Element) setID {
	if !e.Set.HasPrefix() {
		return setID{family: e.Set}
	}
	length := e.Prefix.Bits()
	if e.Prefix.Addr().Is4() {
		length += ipv4Bits
	}
	return setID{family: e.Set, length: length}
}

func (id setID) String() string {
	if !id.family.HasPrefix() {
		return id.family.String()
	}
	return id.family.String() + "-" + strconv.Itoa(id.length)
}

// parseSetID is the inverse of String.
func parseSetID(name string) (id setID, ok bool) {
	for f := range hoststate.Sets {
		if !f.HasPrefix() {
			if name == f.String() {
				return setID{family: f}, true
			}
			continue
		}
		digits, found := strings.CutPrefix(name, f.String()+"-")
		if n, err := strconv.Atoi(digits); found && err == nil && n >= 0 && n <= 128 && strconv.Itoa(n) == digits {
			return setID{family: f, length: n}, true
		}
	}
	return setID{}, false
}

// Open adopts the table or makes it, in the network namespace of the calling
// thread. Sets and counters of an adopted table stay as they are; its chains are
// filled anew in one transaction, so that no packet passes that would not have.
// A table of another layout, or one so broken that this fails, is replaced whole,
// also in one transaction, and is empty then.
func Open(o Options) (*Table, error) {
	if o.Name == "" {
		o.Name = Name
	}
	s, err := openSession(unix.NFPROTO_INET, o.Name)
	if err != nil {
		return nil, err
	}
	reader, err := bulk.Open(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("nft: %w", err), s.bulk.Close())
	}
	t := &Table{reader: reader, session: s, sets: map[setID]bool{}}
	if err := t.adopt(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Close closes the Table. What was installed stays.
func (t *Table) Close() error {
	return errors.Join(t.bulk.Close(), t.reader.Close())
}

func (t *Table) adopt() error {
	there, err := t.there()
	if err != nil {
		return err
	}
	drop := false
	if there {
		chains, err := t.names(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_NAME)
		if err != nil {
			return err
		}
		drop = !slices.Contains(chains, layout)
		t.storeID = storeIDOf(chains)
	}
	t.found, t.foundID = there, t.storeID
	if err = t.findSets(); err != nil {
		return err
	}
	replaced, err := t.build(drop)
	if err != nil {
		return err
	}
	t.bare = !there || replaced
	t.opened, err = t.version()
	return err
}

// findSets learns which of our sets are there.
func (t *Table) findSets() error {
	clear(t.sets)
	there, err := t.there()
	if err != nil || !there {
		return err
	}
	names, err := t.names(unix.NFT_MSG_GETSET, unix.NFTA_SET_NAME)
	for _, n := range names {
		if id, ok := parseSetID(n); ok {
			t.sets[id] = true
		}
	}
	return err
}

// Counter counts packets and their octets.
type Counter struct {
	Packets, Bytes uint64
}

// What the filter drops is counted by reason. A counter's name in the table is the
// reason's name in metrics.
const (
	counterSpoofed  = "spoofed"            // source is nobody's on the link (RFC 8987 R-3)
	counterStolen   = "spoofed-link-layer" // source is right, the link-layer address is not its client's
	counterLooped   = "looped"             // would have gone round (RFC 8987 R-5), dropped without a word
	counterRejected = "looped-rejected"    // the same, answered with ICMPv6 type 1 code 6
	counterPast     = "past-relay"         // a DHCPv4 client's message that would have passed the relay by
)

var counterNames = []string{counterSpoofed, counterStolen, counterLooped, counterRejected, counterPast}

// Dropped is how many packets were dropped since the table was made, by reason. Every
// reason is there.
func (t *Table) Dropped() (map[string]uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dropped := make(map[string]uint64, len(counterNames))
	for _, name := range counterNames {
		dropped[name] = 0
	}
	return dropped, t.eachCounter(func(name string, value Counter) { dropped[name] = value.Packets })
}

// Purge removes the table. The Table must not be used any more, but closed.
func (t *Table) Purge() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	there, err := t.there()
	if err != nil || !there {
		return err
	}
	x := t.begin()
	x.dropTable()
	clear(t.sets)
	return t.commit(x)
}

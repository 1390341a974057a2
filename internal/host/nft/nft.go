// Package nft carries out filter operations: the table inet fairlead, which is
// ours alone. It drops packets from client-facing links whose source belongs to no
// client there (RFC 8987 R-3, RFC 2827), and packets that would loop between the
// host and a client (RFC 8987 R-5). It never changes another table.
//
// The package decides nothing: core/hoststate says which elements there should be.
// It has one hash set for each prefix length in use, in which it looks for the masked
// address. It does not use nft's interval sets, whose updates take milliseconds when
// there are many elements.
//
//	prerouting (raw)  IPv6, interface name in @checked -> source
//	                  IPv4, interface name in @checked-ipv4 -> source-ipv4, but for UDP to port 67
//	source            :: and fe80::/10 pass; then holders, permitted, stolen; the rest is spoofed: drop
//	holders           per length: name . ether . masked source: remember the time, accept
//	permitted         per length: name . masked source: accept
//	stolen            per length: the right source with the wrong link-layer address -> misused
//	source-ipv4       0.0.0.0 passes; then as source, with addresses in the form of IPv6
//	spoofed, misused  noted, then drop
//	noted             counts the packet for its link, and remembers its source for a time
//	forward (filter)  IPv4, interface name in @checked-ipv4, UDP to port 67: drop
//	                  name in . name out in @hairpin, that is, both are one link -> hairpin
//	hairpin           exempt, looping
//	exempt            per length: name . masked destination: accept
//	looping           per length: name . [ether .] masked destination -> loop
//	loop              name in @rejecting: answer type 1 code 6, else drop
//
// The sets name interfaces and not their indexes: an interface that is made again has
// another index, and would not be filtered. In a VRF the forward hook sees the device of
// the VRF as the input interface; there the name of the interface below it counts
// (sdifname). Prerouting sees that interface first.
//
// A Guard has the tables of hops that IPsec protects (RFC 8213): core/hop's GuardTable
// and FrameTable, with addresses in hash maps to counters.
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

// layout is the name of an empty chain. It tells which version of this package made the table,
// and changes when the sets change.
const layout = "layout-3"

// Options say how to open a Table. The zero value is what the product uses.
type Options struct {
	Name string // of the table; empty: Name
}

// Table is the filter table in the kernel.
type Table struct {
	reader  *bulk.Conn // long listings
	found   bool       // whether Open found the table
	foundID string
	bare    bool // whether the table was empty when Open had opened it
	opened  Version

	mu sync.Mutex // guards all following fields
	session
	sets    map[setID]bool // the sets that are there
	storeID string         // empty: none; see SetStoreID
	print   [sha256.Size]byte
}

// setID is one set. Length is 0 for the families without a prefix.
type setID struct {
	family hoststate.Set
	length int
}

// gates are the sets without a prefix. They are always there.
var gates = []setID{{family: hoststate.Checked}, {family: hoststate.Rejecting}, {family: hoststate.Hairpin}, {family: hoststate.CheckedIPv4}}

// ipv4Bits is what the length of an IPv4 prefix increases by in sets: there it is in the form
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

// Open adopts the table or makes it, in the network namespace of the calling thread. Sets and
// counters of an adopted table stay as they are. Its chains are filled again in one transaction,
// so that no packet passes that should not. A table with another layout, or one so broken that
// this fails, is replaced as a whole, also in one transaction; it is empty then.
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

// findSets finds out which of our sets are there.
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

// Counter counts packets, and octets in them.
type Counter struct {
	Packets, Bytes uint64
}

// Drops of the filter are counted by reason. The name of a counter in the table is the name of
// the reason in metrics.
const (
	counterSpoofed  = "spoofed"            // the source belongs to no client on the link (RFC 8987 R-3)
	counterStolen   = "spoofed-link-layer" // the source belongs to a client, the link-layer address to another
	counterLooped   = "looped"             // would have looped (RFC 8987 R-5); dropped without an answer
	counterRejected = "looped-rejected"    // would have looped; answered with ICMPv6 type 1 code 6
	counterPast     = "past-relay"         // message of a DHCPv4 client that would have been forwarded past the relay
)

var counterNames = []string{counterSpoofed, counterStolen, counterLooped, counterRejected, counterPast}

// Dropped is how many packets were dropped since the table was made, by reason. Reasons with 0
// packets are included.
func (t *Table) Dropped() (map[string]uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dropped := make(map[string]uint64, len(counterNames))
	for _, name := range counterNames {
		dropped[name] = 0
	}
	return dropped, t.eachCounter(func(name string, value Counter) { dropped[name] = value.Packets })
}

// Purge removes the table. After it, the Table may only be closed.
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

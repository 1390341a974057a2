package delegation

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
)

// Block forbids to learn the delegations that match all its fields that are set, until the
// operator unblocks it.
type Block struct {
	Prefix netip.Prefix
	Client binding.Client
	Link   string
}

// Block and Unblock add and take away a block; both report whether that changed
// anything.
func (t *Table) Block(b Block) bool {
	_, had := t.blocks[b]
	t.blocks[b] = struct{}{}
	return !had
}

// Unblock is the reverse of Block.
func (t *Table) Unblock(b Block) bool {
	_, had := t.blocks[b]
	delete(t.blocks, b)
	return had
}

// Blocks are all blocks, in a stable order.
func (t *Table) Blocks() []Block {
	all := make([]Block, 0, len(t.blocks))
	for b := range t.blocks {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Block) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), a.Client.Compare(b.Client), cmp.Compare(a.Prefix.String(), b.Prefix.String()))
	})
	return all
}

func (t *Table) isBlocked(g *Grant) bool {
	if len(t.blocks) == 0 {
		return false
	}
	// A block names a subset of three fields: eight look-ups find any.
	for mask := range 8 {
		var b Block
		if mask&1 != 0 {
			b.Prefix = g.Prefix
		}
		if mask&2 != 0 {
			b.Client = g.Client
		}
		if mask&4 != 0 {
			b.Link = g.Link
		}
		if _, ok := t.blocks[b]; ok {
			return true
		}
	}
	return false
}

// BlockKey is the store's key of a block. A block has no other record.
func BlockKey(b []byte, k Block) []byte {
	b = append(append(b, binding.Relay6...), blockLetter)
	var a [17]byte
	if k.Prefix.IsValid() {
		addr := k.Prefix.Addr().As16()
		copy(a[:], addr[:])
		a[16] = byte(k.Prefix.Bits()) + 1
	}
	b = append(b, a[:]...)
	b = binary.AppendUvarint(b, uint64(k.Client.Len()))
	b = k.Client.Append(b)
	return append(b, k.Link...)
}

const blockLetter = 'b'

// BlockRange is the range of all keys of blocks, for a scan.
func BlockRange() (from, to []byte) { return binding.Range(binding.Relay6, blockLetter) }

// ParseBlock is the reverse of BlockKey; errors wrap binding.ErrRecord.
func ParseBlock(key []byte) (Block, error) {
	rest, ours := bytes.CutPrefix(key, append([]byte(binding.Relay6), blockLetter))
	if !ours {
		return Block{}, fmt.Errorf("%w: block of %d octets", binding.ErrRecord, len(key))
	}
	return parseBlock(rest, binding.ParseClient[[]byte])
}

// ParseFormerBlock reads a key from when there was one role: such a key begins with the
// letter of blocks, and its client is a DUID.
func ParseFormerBlock(key []byte) (Block, error) {
	rest, former := bytes.CutPrefix(key, []byte{blockLetter})
	if !former {
		return Block{}, fmt.Errorf("%w: block of %d octets", binding.ErrRecord, len(key))
	}
	return parseBlock(rest, func(duid []byte) (binding.Client, bool) { return binding.DUID(duid), true })
}

func parseBlock(b []byte, client func([]byte) (binding.Client, bool)) (Block, error) {
	var k Block
	if len(b) < 18 || b[16] > 129 {
		return k, fmt.Errorf("%w: block of %d octets behind its letter", binding.ErrRecord, len(b))
	}
	if b[16] > 0 {
		k.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte(b)), int(b[16])-1)
	}
	l, used := binary.Uvarint(b[17:])
	if used <= 0 || l > uint64(len(b)-17-used) {
		return Block{}, fmt.Errorf("%w: a text runs past the end", binding.ErrRecord)
	}
	rest := b[17+used:]
	who, known := client(rest[:l])
	if !known {
		return Block{}, fmt.Errorf("%w: a client of unknown kind", binding.ErrRecord)
	}
	k.Client, k.Link = who, string(rest[l:])
	return k, nil
}

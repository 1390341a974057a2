package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// session speaks to the kernel about one table.
type session struct {
	family  byte
	name    string
	bulk    *bulk.Conn
	buf     []byte
	answers []error
	own     uint64 // transactions that the kernel has carried out
	lapses  uint64 // requests that the kernel has carried out only in part, or may have
}

// openSession opens a session about the table of that family and name, in the
// network namespace of the calling thread.
func openSession(family byte, name string) (session, error) {
	b, err := bulk.Open(unix.NETLINK_NETFILTER)
	if err != nil {
		return session{}, fmt.Errorf("nft: %w", err)
	}
	return session{family: family, name: name, bulk: b}, nil
}

// begin begins a transaction on the table.
func (s *session) begin() *transaction { return begin(s.buf, s.family, s.name) }

// send carries out a transaction. The answers are to its beginning, to each message, and to its
// end. If none of them is an error, all of it has taken effect, else nothing has. Each
// transaction must change something if it succeeds: the kernel does not number one that changes
// nothing.
func (s *session) send(x *transaction) (answers []error, err error) {
	if x.err != nil {
		return nil, x.err
	}
	x.b = control(x.b, unix.NFNL_MSG_BATCH_END)
	s.buf = x.b
	if s.answers, err = s.bulk.Exchange(x.b, s.answers); err != nil {
		s.lapses++
		return nil, fmt.Errorf("nft: %w", err)
	}
	// The beginning is answered only when the whole transaction fails.
	if err := s.answers[0]; err != nil && !errors.Is(err, bulk.ErrNoAnswer) {
		return nil, fmt.Errorf("nft: %w", err)
	}
	switch {
	case slices.ContainsFunc(s.answers, isUnknown):
		s.lapses++ // it may or may not have been carried out
	case !slices.ContainsFunc(s.answers, isError):
		s.own++
	}
	return s.answers, nil
}

func isError(err error) bool   { return err != nil }
func isUnknown(err error) bool { return errors.Is(err, bulk.ErrNoAnswer) }

// commit carries out a transaction, none of whose messages may fail.
func (s *session) commit(x *transaction) error {
	answers, err := s.send(x)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a != nil {
			return fmt.Errorf("nft: table %s: %w", s.name, a)
		}
	}
	return nil
}

// list calls found with the attributes of every object of one kind. With table, only with those
// in our table.
func (s *session) list(kind uint16, table bool, restart func(), found func(attrs []byte)) error {
	b := request(nil, s.family, kind, unix.NLM_F_DUMP)
	if table {
		b = bulk.AttrString(b, unix.NFTA_TABLE_NAME, s.name)
	}
	err := s.bulk.Dump(bulk.End(b, 0), bulk.Tries, restart, func(_ uint16, body []byte) {
		if len(body) >= sizeofNfgenmsg {
			found(body[sizeofNfgenmsg:])
		}
	})
	if err != nil {
		return fmt.Errorf("nft: %w", err)
	}
	return nil
}

// names lists the names of our table's objects of one kind. The attribute name has them.
func (s *session) names(kind, name uint16) ([]string, error) {
	var names []string
	err := s.list(kind, kind != unix.NFT_MSG_GETTABLE, func() { names = nil }, func(attrs []byte) {
		ours, n := kind == unix.NFT_MSG_GETTABLE, ""
		bulk.Attrs(attrs, func(k uint16, v []byte) {
			switch k {
			case name:
				n = text(v)
			case unix.NFTA_TABLE_NAME:
				ours = text(v) == s.name
			}
		})
		if ours {
			names = append(names, n)
		}
	})
	return names, err
}

func text(v []byte) string { return string(bytes.TrimRight(v, "\x00")) }

// there reports whether the table exists.
func (s *session) there() (bool, error) {
	tables, err := s.names(unix.NFT_MSG_GETTABLE, unix.NFTA_TABLE_NAME)
	return slices.Contains(tables, s.name), err
}

// eachCounter calls found with each counter of the table.
func (s *session) eachCounter(found func(name string, value Counter)) error {
	return s.list(unix.NFT_MSG_GETOBJ, true, func() {}, func(attrs []byte) {
		name, value := "", Counter{}
		bulk.Attrs(attrs, func(kind uint16, v []byte) {
			switch kind {
			case unix.NFTA_OBJ_NAME:
				name = text(v)
			case unix.NFTA_OBJ_DATA:
				value = parseCounter(v)
			}
		})
		found(name, value)
	})
}

func parseCounter(b []byte) (c Counter) {
	bulk.Attrs(b, func(kind uint16, v []byte) {
		switch {
		case kind == unix.NFTA_COUNTER_PACKETS && len(v) == 8:
			c.Packets = binary.BigEndian.Uint64(v)
		case kind == unix.NFTA_COUNTER_BYTES && len(v) == 8:
			c.Bytes = binary.BigEndian.Uint64(v)
		}
	})
	return c
}

package nft

import (
	"errors"
	"fmt"
	"os"

	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Role is a role that one process at a time may have in a network namespace.
type Role struct {
	program string // the program's name, as an operator types it
	unit    string // name of the systemd unit
	table   string // name of the table that the owner holds
}

// The roles.
var (
	RoleRelay = Role{program: "fairlead", unit: "fairlead", table: "fairlead-owner"}
	RoleGuard = Role{program: "fairlead guard", unit: "fairlead-guard", table: "fairlead-guard-owner"}
)

// ErrOwned says that another process has a Role in this network namespace.
var ErrOwned = errors.New("runs in this network namespace already")

// Owner is the right to a Role in one network namespace. It is an empty table whose flag "owner"
// (Linux 5.12) ties it to our socket. Making it needs CAP_NET_ADMIN, nobody else can change it, a
// flush of the rule set does not remove it, and the kernel removes it when the process ends,
// however it ends.
type Owner struct{ bulk *bulk.Conn }

// Own takes a Role in the network namespace of the calling thread. doing says what this process
// does; another process that wants the Role reads it. The error is ErrOwned where another process
// has the Role, and names that process.
func Own(r Role, doing string) (*Owner, error) {
	s, err := openSession(unix.NFPROTO_INET, r.table)
	if err != nil {
		return nil, err
	}
	comment := fmt.Sprintf("%s, process %d", doing, os.Getpid())
	x := s.begin()
	x.ownTable(comment)
	if err = s.commit(x); errors.Is(err, unix.EEXIST) { // there is a table of that name that no process owns
		x = s.begin()
		x.dropTable()
		x.ownTable(comment)
		err = s.commit(x)
	}
	switch {
	case err == nil:
		return &Owner{bulk: s.bulk}, nil
	case errors.Is(err, unix.EPERM):
		err = s.refusedBy(r, err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		err = fmt.Errorf("%w (nftables needs tables with an owner, since Linux 5.12)", err)
	}
	return nil, errors.Join(err, s.bulk.Close())
}

// Close gives up the Role.
func (o *Owner) Close() error { return o.bulk.Close() }

// refusedBy says why a Role was refused: another process has it, or we may not have it.
func (s *session) refusedBy(r Role, refusal error) error {
	comment := ""
	err := s.list(unix.NFT_MSG_GETTABLE, false, func() { comment = "" }, func(attrs []byte) {
		name, owned, words := "", false, ""
		bulk.Attrs(attrs, func(kind uint16, v []byte) {
			switch kind {
			case unix.NFTA_TABLE_NAME:
				name = text(v)
			case tableOwner:
				owned = true
			case tableUserdata:
				words = commentOf(v)
			}
		})
		if name == s.name && owned {
			comment = words
		}
	})
	switch {
	case err != nil:
		return errors.Join(refusal, err)
	case comment == "":
		return refusal
	}
	return fmt.Errorf("%s %w (%s): stop it first (systemctl stop %s)", r.program, ErrOwned, comment, r.unit)
}

// ownTable makes a table that the kernel removes with our socket, with a comment that nft shows.
func (x *transaction) ownTable(comment string) {
	x.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, func(b []byte) []byte {
		b = number(b, unix.NFTA_TABLE_FLAGS, flagOwner)
		comment = comment[:min(len(comment), maxComment)]
		return bulk.Attr(b, tableUserdata, append(append([]byte{udataComment, byte(len(comment) + 1)}, comment...), 0))
	})
}

// Numbers that golang.org/x/sys does not name.
const (
	flagOwner     = 2   // NFT_TABLE_F_OWNER
	tableUserdata = 6   // NFTA_TABLE_USERDATA
	tableOwner    = 7   // NFTA_TABLE_OWNER
	udataComment  = 0   // NFTNL_UDATA_TABLE_COMMENT
	maxComment    = 127 // without the octet 0 at its end
)

// commentOf reads a comment in the form in which nft writes it: kind, length, text, octet 0.
func commentOf(udata []byte) string {
	for len(udata) >= 2 && int(udata[1]) <= len(udata)-2 {
		v := udata[2 : 2+udata[1]]
		if udata[0] == udataComment {
			return text(v)
		}
		udata = udata[2+len(v):]
	}
	return ""
}

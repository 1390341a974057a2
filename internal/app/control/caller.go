package control

import (
	"crypto/x509"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"fairlead/internal/app/config"
)

// CallerRole is what a caller may do.
type CallerRole uint8

// A Refused caller may do nothing, a Reader may look, an Operator may also change things.
const (
	Refused CallerRole = iota
	Reader
	Operator
)

func (r CallerRole) String() string { return [...]string{"refused", "reader", "operator"}[r] }

// caller is the program or person at the other end of a connection.
type caller struct {
	cert    *x509.Certificate // set over TCP; then no other field is, except name
	uid     uint32
	groups  []uint32 // primary and supplementary, as the kernel knew them at connect
	pid     int32
	process string // the name that the process gives itself: it proves nothing
	name    string // the user's, or the common name of the certificate; "": unknown
}

// String describes the caller in words, for logs.
func (c *caller) String() string {
	name := printable(c.name)
	if c.cert != nil {
		return fmt.Sprintf("%s (certificate %x)", name, c.cert.SerialNumber)
	}
	if name == "" {
		name = "unnamed"
	}
	return fmt.Sprintf("%s (uid %d, pid %d, %s)", name, c.uid, c.pid, printable(c.process))
}

// printable quotes a text that may have come from outside unless it is plain.
func printable(s string) string {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && r != '"' && r != '(' && r != ')' && r != ',' }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) >= 0 {
		return strconv.Quote(s)
	}
	return s
}

// access says who may do what. It is immutable, and is replaced as a whole.
type access struct{ operators, readers principals }

// principals are user and group ids for the Unix socket, and names for certificates.
type principals struct {
	users, groups         []uint32
	userNames, groupNames []string
}

// newAccess looks up the ids of names. It calls unknown for a name that the system does not know;
// such a name matches nobody on the Unix socket.
func newAccess(c *config.Control, unknown func(name string)) *access {
	return &access{
		operators: resolve(c.Operators, unknown),
		readers:   resolve(c.Readers, unknown),
	}
}

func resolve(list []config.Principal, unknown func(name string)) principals {
	var p principals
	for _, e := range list {
		switch id, ok := accountID(e); {
		case !ok:
			unknown(e.Name)
		case e.Group:
			p.groups = append(p.groups, id)
		default:
			p.users = append(p.users, id)
		}
		switch {
		case e.Name == "":
		case e.Group:
			p.groupNames = append(p.groupNames, e.Name)
		default:
			p.userNames = append(p.userNames, e.Name)
		}
	}
	return p
}

func accountID(e config.Principal) (uint32, bool) {
	if e.Name == "" {
		return e.ID, true
	}
	var id string
	if e.Group {
		g, err := user.LookupGroup(e.Name)
		if err != nil {
			return 0, false
		}
		id = g.Gid
	} else {
		u, err := user.Lookup(e.Name)
		if err != nil {
			return 0, false
		}
		id = u.Uid
	}
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err == nil
}

func (p *principals) has(c *caller) bool {
	if c.cert != nil {
		return c.name != "" && slices.Contains(p.userNames, c.name) ||
			slices.ContainsFunc(c.cert.Subject.OrganizationalUnit, func(g string) bool { return slices.Contains(p.groupNames, g) })
	}
	return slices.Contains(p.users, c.uid) ||
		slices.ContainsFunc(c.groups, func(g uint32) bool { return slices.Contains(p.groups, g) })
}

// role is what the caller may do now. Root on this machine may do everything. A certificate may
// do what is permitted to its common name as a user, or to one of its organisational units as a
// group.
func (a *access) role(c *caller) CallerRole {
	switch {
	case c.cert == nil && c.uid == 0, a.operators.has(c):
		return Operator
	case a.readers.has(c):
		return Reader
	}
	return Refused
}

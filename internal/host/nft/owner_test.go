package nft_test

import (
	"errors"
	"strings"
	"testing"

	"fairlead/internal/host/nft"

	"golang.org/x/sys/unix"
)

func (n *node) own(r nft.Role, doing string) (owner *nft.Owner, err error) {
	n.do(func() { owner, err = nft.Own(r, doing) })
	return owner, err
}

// One process has a role in a network namespace. In another namespace, another process may have
// it.
func TestOwn(t *testing.T) {
	n := newNode(t)
	first, err := n.own(nft.RoleRelay, "the first")
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.own(nft.RoleRelay, "the second")
	if !errors.Is(err, nft.ErrOwned) || !strings.Contains(err.Error(), "(the first, process ") {
		t.Errorf("the same role again: %v, want an error that names the first", err)
	}
	may := func(where *node, r nft.Role, doing string) {
		t.Helper()
		o, err := where.own(r, doing)
		if err != nil {
			t.Fatalf("%s: %v", doing, err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	may(n, nft.RoleGuard, "the other role")
	may(newNode(t), nft.RoleRelay, "in another namespace")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	may(n, nft.RoleRelay, "after the first")
}

// A table of that name that no process owns, as a restored rule set may have, does not prevent
// owning. A flush of the rule set does not end it.
func TestOwnBesideOtherTools(t *testing.T) {
	n := newNode(t)
	n.run("nft add table inet fairlead-owner")
	o, err := n.own(nft.RoleRelay, "a relay")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	n.run("nft flush ruleset")
	if tables := n.run("nft list tables"); tables != "table inet fairlead-owner\n" {
		t.Errorf("after a flush of the rule set there is %q", tables)
	}
	if _, err := n.own(nft.RoleRelay, "a second one"); !errors.Is(err, nft.ErrOwned) {
		t.Errorf("after a flush of the rule set: %v, want ErrOwned", err)
	}
}

// A process that may not configure the network can neither have a role nor prevent others from
// having it, and is told why.
func TestOwnNeedsRights(t *testing.T) {
	n := newNode(t)
	var err error
	n.do(func() {
		if err = unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &make([]unix.CapUserData, 2)[0]); err == nil {
			_, err = nft.Own(nft.RoleRelay, "somebody")
		}
	})
	if !errors.Is(err, unix.EPERM) || errors.Is(err, nft.ErrOwned) {
		t.Errorf("without rights: %v, want EPERM", err)
	}
}

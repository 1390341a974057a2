package ipsec

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
)

// noFamily is a netlink family that no kernel has.
const noFamily = 29

// A kernel without XFRM is enough where nothing needs XFRM. In all other cases the error says
// what is missing.
func TestKernelWithoutXFRM(t *testing.T) {
	k, err := openFamily(hop.OwnerRelay, noFamily)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.Install(nil), k.Install([]hop.Hop{{IKE: &hop.IKE{}}}), k.Remove()); err != nil {
		t.Errorf("nothing to install: %v", err)
	}
	if err := k.Install([]hop.Hop{{Manual: &hop.Manual{}}}); !errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Errorf("manual keys: %v", err)
	}
	if _, err := k.Observe(); !errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Errorf("what there is: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

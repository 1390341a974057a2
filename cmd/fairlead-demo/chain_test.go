package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestDemoESP runs the story of IPsec. In the virtual machine all of it holds. On a kernel
// without ESP, the demo says so, and how to see it nevertheless.
func TestDemoESP(t *testing.T) {
	var out strings.Builder
	err := give(t.Context(), options{Limit: unhurried, IPsec: true, Out: &out, Binary: build(t)})
	t.Log(out.String())
	without := errors.Is(err, errFailed) && strings.Contains(out.String(), "the kernel has no ESP (make demo-ipsec")
	if err != nil && (!without || os.Getenv("FAIRLEAD_VM_IMAGE") == "ipsec") {
		t.Error(err)
	}
	nothingLeft(t)
}

// A program that is no relay makes this story fail, too.
func TestDemoESPFails(t *testing.T) {
	var out strings.Builder
	err := give(t.Context(), options{Limit: unhurried, IPsec: true, Out: &out, Binary: "/bin/false"})
	if !errors.Is(err, errFailed) {
		t.Errorf("err = %v, want %v\n%s", err, errFailed, out.String())
	}
	if os.Getenv("FAIRLEAD_VM_IMAGE") == "ipsec" && !strings.Contains(out.String(), "fairlead ended without saying READY=1") {
		t.Errorf("it failed for another reason:\n%s", out.String())
	}
	nothingLeft(t)
}

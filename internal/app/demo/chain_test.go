package demo_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"fairlead/internal/app/demo"
)

// TestDemoESP gives the story of IPsec. In the virtual machine all of it holds; a
// kernel without ESP is told of, and how to see the demo all the same.
func TestDemoESP(t *testing.T) {
	var out strings.Builder
	err := demo.Run(t.Context(), demo.Options{IPsec: true, Out: &out, Binary: build(t)})
	t.Log(out.String())
	without := errors.Is(err, demo.ErrFailed) && strings.Contains(out.String(), "the kernel has no ESP (make demo-ipsec")
	if err != nil && (!without || os.Getenv("FAIRLEAD_VM_IMAGE") == "ipsec") {
		t.Error(err)
	}
	nothingLeft(t)
}

// A program that is no relay makes this story fail, too.
func TestDemoESPFails(t *testing.T) {
	var out strings.Builder
	err := demo.Run(t.Context(), demo.Options{IPsec: true, Out: &out, Binary: "/bin/false"})
	if !errors.Is(err, demo.ErrFailed) {
		t.Errorf("err = %v, want %v\n%s", err, demo.ErrFailed, out.String())
	}
	if os.Getenv("FAIRLEAD_VM_IMAGE") == "ipsec" && !strings.Contains(out.String(), "fairlead ended without saying READY=1") {
		t.Errorf("it failed for another reason:\n%s", out.String())
	}
	nothingLeft(t)
}

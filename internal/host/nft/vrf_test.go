//go:build vm

package nft_test

import "testing"

// In a VRF the forward hook sees the VRF device where the packet came in, and
// prerouting runs twice: everything holds there too. Kernels of build machines
// may have no VRF, so this runs in the virtual machine.
func TestInVRF(t *testing.T) {
	for name, body := range map[string]func(*testing.T, *network){
		"R-3":              r3SourceFilter,
		"R-5 one client":   r5OneClient,
		"R-5 multi-access": r5MultiAccess,
		"R-5 answered":     r5Reject,
	} {
		t.Run(name, func(t *testing.T) { body(t, newNetworkIn(t, "red")) })
	}
}

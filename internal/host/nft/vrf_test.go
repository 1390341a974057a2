//go:build vm

package nft_test

import "testing"

// In a VRF the forward hook sees the device of the VRF as the input interface, and prerouting
// runs twice: the filter works there too. Kernels of build machines may have no VRF, so this test
// runs in the virtual machine.
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

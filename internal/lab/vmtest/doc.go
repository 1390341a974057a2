// Package vmtest has tests for the virtual machine of scripts/vm: they show that it has what the
// kernel of a build machine may lack (VLAN, VRF, the nft expressions that the relay uses). They
// have the build tag vm and run with -exec; see scripts/vm/exec.
package vmtest

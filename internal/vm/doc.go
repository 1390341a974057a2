// Package vm has no code, only tests: they run the fairlead program on links
// that the kernel of a build machine may not have, VLANs, VRFs and PPP, in the
// virtual machine of scripts/vm. The server and the clients are those of
// lab/script; ip, nft, ping and tcpdump look at what came of it. The tests have
// the build tag vm:
//
//	go test -tags vm -exec "$PWD/scripts/vm/exec" ./internal/vm
//
// The test binary is the program, too, so that nothing else has to be carried
// into the machine. All tests share one boot, and the machine is emulated: a
// program that is started costs more than anything else here.
package vm

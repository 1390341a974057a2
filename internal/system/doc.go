// Package system has no code, only tests. They run the fairlead program in networks of
// namespaces, between servers, clients and routers of other authors, and check it by other
// programs (tshark for octets, ip and nft for the kernel). They need root and scripts/packages
// test.
package system

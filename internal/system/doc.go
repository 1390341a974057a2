// Package system has no code, only tests: they run the fairlead program in
// networks of namespaces between servers, clients and routers by other authors,
// and look at it with foreign eyes (tshark for octets, ip and nft for the
// kernel). They need root and scripts/packages test.
package system

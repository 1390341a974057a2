// Package trouble has no code, only tests: they run the fairlead program in
// networks of namespaces and do to it what goes wrong in the field. Its disk
// fills up and its files are damaged, it is killed under load, others change its
// routes and filters, its configuration is broken, clients and forgers send it
// rubbish. They look at what it does with foreign eyes: ip, nft, /proc, a socket
// in the place of the service manager. They need root and scripts/packages test.
package trouble

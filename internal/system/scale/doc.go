// Package scale tests the program with as many links and delegations as one
// machine is meant to serve. It counts with foreign eyes (ip, nft, /proc) and
// measures nothing: speed is the bench's.
package scale

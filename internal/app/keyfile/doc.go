// Package keyfile reads the files that have keys and certificates of protected peers: pre-shared
// keys (RFC 7296 section 2.15), manual keys of ESP (RFC 8221 section 3), and X.509 certificates
// with their private keys (RFC 8247 section 3).
//
// It refuses bad keys. It does not know which peer they are for, and neither uses nor stores
// them. Errors say what is wrong and what is permitted, without the path and without any octet of
// a key. All functions are safe for concurrent use.
package keyfile

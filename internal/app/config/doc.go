// Package config turns the text of a configuration file into validated Go structs, or else
// returns all the problems of the file at once, each with its line and column. It resolves no
// user name, opens no socket and reads no interface: what depends on the machine is decided by
// those who use the values. Beside the text, it reads only the key files of protected peers (RFC
// 8213), so that a key that cannot be used is a problem of the line that names it.
//
// The language is a strict part of YAML: one document of mappings, lists and
// scalars, without anchors, aliases, tags or merge keys. An unknown key is an
// error, and so is a number that some readers would take for octal.
//
// A Config is not changed once it is made, and may be read by any goroutine. A new file makes a
// new Config. Slices are shared between its parts, and must not be written to.
package config

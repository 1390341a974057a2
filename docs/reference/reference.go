// Package reference holds the commented reference file and the smallest working
// example, so that the program can print them. It has no code.
package reference

import _ "embed"

// Fairlead is the reference file: every key with its default and its meaning.
//
//go:embed fairlead.yaml
var Fairlead string

// Server6 is the reference file of the section server6: every key with its default and its
// meaning.
//
//go:embed server6.yaml
var Server6 string

// Minimal is the smallest configuration that relays.
//
//go:embed minimal.yaml
var Minimal string

// Guard is the reference file of "fairlead guard".
//
//go:embed guard.yaml
var Guard string

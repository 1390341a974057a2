// Package arch has no code of its own. Its tests hold the shape of the house: the
// floors, the one direction of imports, and what a core may not reach for, each
// with its reason.
package arch

package ledger

import (
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
)

// Kernel is the core's part of the kernel: what is wanted there, and the Changes that bring
// the kernel to it.
type Kernel struct{ of *Ledger }

// Kernel is what the ledger's core wants of the kernel.
func (l *Ledger) Kernel() Kernel { return Kernel{l} }

// Counts are figures of what is wanted of the kernel.
func (k Kernel) Counts() hoststate.Counts { return k.of.host.Counts() }

// partOfComparison is how many routes and elements are compared at once: a few
// milliseconds at most, as packets wait meanwhile.
const partOfComparison = 4096

// InstallDelegated has everything installed that delegations want of the kernel, which has
// nothing of it, part by part: carryOut carries out what is in the Effects. It returns how
// many operations these were.
func (k Kernel) InstallDelegated(eff *effect.Effects, carryOut func()) (n int) {
	ops := make([]hoststate.Op, 0, partOfComparison)
	install := func() {
		eff.Reset()
		k.of.Install(ops, eff)
		carryOut()
		n += len(ops)
		ops = ops[:0]
	}
	for op := range k.of.host.Delegated {
		if ops = append(ops, op); len(ops) == cap(ops) {
			install()
		}
	}
	install()
	return n
}

// Compare begins to compare what the kernel has of ours with what is wanted. ComparePart
// goes on with it, once everything that was asked of the kernel until now is carried out and
// the kernel is read.
func (k Kernel) Compare() *hoststate.Comparison { return k.of.host.Compare() }

// ComparePart goes on with a comparison and mends the differences that it finds.
// Whole is false where the comparison is worth nothing any more: too much has
// changed since it began, or another core has come.
func (k Kernel) ComparePart(c *hoststate.Comparison, reading *hoststate.Reading, eff *effect.Effects) (found []hoststate.Finding, done, whole bool) {
	if !k.of.host.Compares(c) {
		return nil, true, false
	}
	ops, found, done := c.Next(nil, reading, partOfComparison)
	if done && reading.HasElements() {
		k.of.compared()
	}
	k.of.Install(ops, eff)
	return found, done, true
}

// Again has installed anew what is wanted among things that others take out of the kernel, or
// are about to, and returns the rest of them.
func (k Kernel) Again(gone []hoststate.Op, eff *effect.Effects) (rest []hoststate.Op) {
	ops, rest := k.of.host.Again(nil, gone)
	k.of.Install(ops, eff)
	return rest
}

// compared takes note that the kernel was compared as a whole: what it lacked is
// mended with the rest, and what fails again is told again.
func (l *Ledger) compared() { clear(l.uninstalled) }

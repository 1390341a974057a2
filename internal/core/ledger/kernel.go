package ledger

import (
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
)

// Kernel is what a core wants the kernel to have. Its methods compare the kernel with that and make
// the Changes that mend the differences.
type Kernel struct{ of *Ledger }

// Kernel is what the ledger's core wants the kernel to have.
func (l *Ledger) Kernel() Kernel { return Kernel{l} }

// Counts are figures of what the core wants the kernel to have.
func (k Kernel) Counts() hoststate.Counts { return k.of.host.Counts() }

// partOfComparison is how many routes and elements are compared at once. This takes a few
// milliseconds at most, during which packets wait.
const partOfComparison = 4096

// InstallDelegated installs everything that the kernel is to have for delegations, while it has
// nothing of it. It does so in parts: each time, carryOut carries out what is in the Effects.
// InstallDelegated returns the number of operations.
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

// Compare begins a comparison of what the kernel has of ours with what the core wants. ComparePart
// goes on with it after everything that was asked of the kernel until now is carried out and the
// kernel has been read.
func (k Kernel) Compare() *hoststate.Comparison { return k.of.host.Compare() }

// ComparePart goes on with a comparison and mends the differences that it finds. The result whole is
// false if the comparison has to begin again: too much has changed since it began, or the core was
// replaced.
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

// Again looks at operations by which others remove things from the kernel, or are about to. It
// installs again what the core wants to stay, and returns the rest.
func (k Kernel) Again(gone []hoststate.Op, eff *effect.Effects) (rest []hoststate.Op) {
	ops, rest := k.of.host.Again(nil, gone)
	k.of.Install(ops, eff)
	return rest
}

// compared takes in that a comparison of the whole kernel is complete. What the kernel lacked is
// mended by it; what fails again is reported again.
func (l *Ledger) compared() { clear(l.uninstalled) }

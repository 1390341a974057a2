// Package guard has no code, only tests: they run "fairlead guard" beside other
// programs in network namespaces, where the kernel need not know ESP. What passes
// in ESP is tested in the virtual machine (internal/vm).
package guard

// Package guard has no code, only tests. They run "fairlead guard" beside other programs in
// network namespaces, on a kernel that need not have ESP. What passes in ESP is tested in the
// virtual machine (internal/vm).
package guard

// Package load plays thousands of DHCP clients and measures what becomes of
// them: the command "fairlead load". Which client says what is decided by package
// loadgen, and put on the link by package inject; here is the pace, the phases
// and the report.
//
// One goroutine, on a thread of its own, does everything while it measures.
package load

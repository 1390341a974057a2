// Package load is the command "fairlead load": it plays thousands of DHCP clients, and measures
// how their messages are answered. Package loadgen decides which client sends what, and package
// inject puts it on the link. This package has the pace, the phases and the report.
//
// While it measures, one goroutine does everything, on a thread of its own.
package load

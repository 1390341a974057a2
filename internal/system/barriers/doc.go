// Package barriers tests what stops messages to and from a protected peer from passing in clear,
// while one barrier or all barriers are flushed. There is no strongSwan and no ESP: nothing may
// pass at all.
package barriers

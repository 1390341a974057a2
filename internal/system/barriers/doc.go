// Package barriers tests what keeps messages to and from a protected peer from passing
// in clear, while somebody flushes one barrier or all. There is no strongSwan and no
// ESP: nothing may pass at all.
package barriers

// Package routing has no code, only tests: delegated prefixes travel through
// routing protocols by others (RFC 8987 R-4). The relay puts routes into its
// kernel, FRR or BIRD beside it announces them, and a router in another
// namespace is asked what has come. They need root.
package routing

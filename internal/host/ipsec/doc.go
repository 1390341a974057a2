// Package ipsec brings about what core/hop decided (RFC 8213): it speaks to
// strongSwan over VICI for hops that IKEv2 keys, and to the kernel's XFRM for
// hops that are keyed by hand (RFC 4301 section 4.5.1).
//
//	Strongswan  connections, keys, SAs and events of one owner in charon
//	Kernel      manual states and policies of one owner, and a view of all
//
// It decides nothing: what a connection or a state consists of, and what to do
// when one is missing, is made in core/hop. It has no packet filter, which is
// host/nft's. What belongs to another owner or to an administrator is never
// changed: in strongSwan names tell it, in the kernel request ids.
//
// Strongswan and Kernel are safe for concurrent use; calls of one value run one
// after another. Hops are read during the call alone, keys are not kept.
package ipsec

// Package ipsec carries out what core/hop has decided (RFC 8213). For hops with keys by IKEv2 it
// speaks to strongSwan over VICI; for hops with manual keys it speaks to the kernel's XFRM (RFC
// 4301 section 4.5.1). Strongswan has the connections, keys, SAs and events of one owner in
// charon. Kernel has the manual states and the policies of one owner, and sees those of all.
//
// The package decides nothing: core/hop makes connections and states, and says what to do when
// one is missing. The packet filter is in host/nft. What belongs to another owner or to an
// administrator is never changed. In strongSwan, names tell who the owner is; in the kernel,
// request ids do.
//
// Strongswan and Kernel are safe for concurrent use; the calls of one value run one after
// another. They read hops only during the call, and keep no keys.
package ipsec

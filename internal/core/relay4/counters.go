package relay4

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/traffic"
	"fairlead/internal/wire/dhcp4"
)

// LinkCounters count what happened on one link.
type LinkCounters struct {
	traffic.Counts
	LinkCounts
}

// LinkCounts are those of the counters of a link that are one number.
type LinkCounts struct {
	// AgentInformationOmitted counts messages that went to a server without option 82
	// because there was no room for it (RFC 3046 section 2.1), SensitiveOmitted those that went
	// without sub-options which only a protected hop may carry (RFC 8213 section 3).
	AgentInformationOmitted, SensitiveOmitted uint64
	// NotEchoed counts replies without the option that we had added.
	NotEchoed uint64
	// VSSIgnored counts replies that were dropped because the server did not heed the VPN
	// that it was told, or told us one (RFC 6607 sections 5 and 5.1).
	VSSIgnored uint64
}

// slot is where messages of a type are counted: at 0 BOOTP, and all types that are not known.
func slot(t dhcp4.MessageType) byte {
	if t > dhcp4.TLS {
		return 0
	}
	return byte(t)
}

// counts are the counters of the link that all cores have; nil for no link.
func (l *link) counts() *traffic.Counts {
	if l == nil {
		return nil
	}
	return &l.counters.Counts
}

// count counts something that happened on a link.
func (r *Relay) count(l *link, one func(*LinkCounts)) {
	one(&l.counters.LinkCounts)
	one(&r.linkCounts)
}

// CountDrop counts n datagrams that the shell discarded on a link.
func (r *Relay) CountDrop(index int, d effect.Drop, n uint64) {
	r.traffic.Drop(r.links.At(index).counts(), d, n)
}

// CountUnsent takes n datagrams back that the shell could not send to a peer.
func (r *Relay) CountUnsent(to netip.Addr, n uint64) { r.peers.CountUnsent(to, n) }

// Sum counts what happened on all links that ever were, and unknown what was discarded of
// interfaces that are not known.
func (r *Relay) Sum() (sum LinkCounters, unknown [effect.DropCount]uint64) {
	return LinkCounters{r.traffic.Counts, r.linkCounts}, r.traffic.Unknown
}

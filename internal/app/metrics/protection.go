package metrics

import (
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/core/trust"
)

// protectedPeer is a peer of the relay or of a guard, with its hops.
type protectedPeer struct {
	name      string
	required  string // "none" or "ipsec"
	protected bool
	hops      []api.Hop
}

// protection are the metrics of RFC 8213 that a relay and a guard have both. A
// hop's name begins with its peer's, and is unique.
func protection[T any](peers func(*T) []protectedPeer, strangers func(*T) api.Traffic) []metric[T] {
	eachHop := func(read func(*api.Hop, emit)) func(*T, emit) {
		return func(snapshot *T, emit emit) {
			for _, p := range peers(snapshot) {
				for i := range p.hops {
					read(&p.hops[i], emit)
				}
			}
		}
	}
	return []metric[T]{
		{
			"peer_protected", "1 if the protection that a peer requires is in place, by hop. Peers that require none have none.", gauge,
			[]string{"peer", "hop"},
			func(snapshot *T, emit emit) {
				for _, p := range peers(snapshot) {
					peerProtected(&p, emit)
				}
			},
		},
		{
			"ipsec_packets_total", "Packets that passed a hop in ESP.", counter,
			[]string{"hop", "direction"},
			eachHop(func(h *api.Hop, emit emit) {
				emit(float64(h.In.Packets), h.Name, "received")
				emit(float64(h.Out.Packets), h.Name, "sent")
			}),
		},
		{
			"ipsec_bytes_total", "Octets that passed a hop in ESP.", counter,
			[]string{"hop", "direction"},
			eachHop(func(h *api.Hop, emit emit) {
				emit(float64(h.In.Bytes), h.Name, "received")
				emit(float64(h.Out.Bytes), h.Name, "sent")
			}),
		},
		{
			"ipsec_rekeys_total", "ESP SAs of a hop that took an old one's place.", counter,
			[]string{"hop"},
			eachHop(func(h *api.Hop, emit emit) { emit(float64(h.Rekeys), h.Name) }),
		},
		{
			"ipsec_sa_age_seconds", "Age of a hop's ESP SAs, or of its key where keys are manual; absent while it is not protected.", gauge,
			[]string{"hop"},
			eachHop(func(h *api.Hop, emit emit) {
				if h.Protected {
					emit(time.Duration(h.Age).Seconds(), h.Name)
				}
			}),
		},
		{
			"ipsec_last_error_timestamp_seconds", "When something last went wrong with a hop; absent if never.", gauge,
			[]string{"hop"},
			eachHop(func(h *api.Hop, emit emit) { at(h.LastErrorAt, emit, h.Name) }),
		},
		{
			"ipsec_warnings", "Standing warnings about a hop, such as the age of a manual key; fairlead ipsec status has them in words.", gauge,
			[]string{"hop"},
			eachHop(func(h *api.Hop, emit emit) { emit(float64(len(h.Warnings)), h.Name) }),
		},
		{
			"clear_dropped_packets_total", "Packets of a hop that came or would have left outside ESP, and were dropped.", counter,
			[]string{"hop", "direction"},
			eachHop(func(h *api.Hop, emit emit) {
				emit(float64(h.DroppedIn.Packets), h.Name, "received")
				emit(float64(h.DroppedOut.Packets), h.Name, "sent")
			}),
		},
		{
			"strangers_dropped_packets_total", "Relayed messages from nobody that is configured, which were dropped.", counter, nil,
			one(func(snapshot *T) uint64 { return strangers(snapshot).Packets }),
		},
	}
}

func peerProtected(p *protectedPeer, emit emit) {
	if p.required == trust.ProtectionNone.String() {
		return
	}
	if len(p.hops) == 0 {
		emit(truth(p.protected), p.name, "")
	}
	for i := range p.hops {
		emit(truth(p.hops[i].Protected), p.name, p.hops[i].Name)
	}
}

var relayProtection = protection(func(c *api.Counters) []protectedPeer {
	peers := make([]protectedPeer, len(c.Peers))
	for i := range c.Peers {
		peers[i] = protectedPeer{c.Peers[i].Peer, c.Peers[i].Protection, c.Peers[i].Protected, c.Peers[i].Hops}
	}
	return peers
}, func(c *api.Counters) api.Traffic { return c.Strangers })

package metrics

import (
	"slices"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/core/trust"
)

// hopMetrics are the metrics of one hop that are computed.
var hopMetrics = []metric[api.Hop]{
	{
		"ipsec_packets_total", "Packets that passed a hop in ESP.", counter,
		[]string{"direction"},
		bothWays(func(h *api.Hop) (received, sent uint64) { return h.In.Packets, h.Out.Packets }),
	},
	{
		"ipsec_bytes_total", "Octets that passed a hop in ESP.", counter,
		[]string{"direction"},
		bothWays(func(h *api.Hop) (received, sent uint64) { return h.In.Bytes, h.Out.Bytes }),
	},
	{
		"clear_dropped_packets_total", "Packets of a hop that came or would have left outside ESP, and were dropped.", counter,
		[]string{"direction"},
		bothWays(func(h *api.Hop) (received, sent uint64) { return h.DroppedIn.Packets, h.DroppedOut.Packets }),
	},
	{
		"ipsec_sa_age_seconds", "Age of a hop's ESP SAs, or of its key where keys are manual; absent while it is not protected.", gauge, nil,
		func(h *api.Hop, emit emit) {
			if h.Protected {
				emit(time.Duration(h.Age).Seconds())
			}
		},
	},
}

func bothWays(read func(*api.Hop) (received, sent uint64)) func(*api.Hop, emit) {
	return func(h *api.Hop, emit emit) {
		received, sent := read(h)
		emit(float64(received), "received")
		emit(float64(sent), "sent")
	}
}

// protection are the metrics of RFC 8213, which a relay and a guard both have. The name of a hop
// begins with the name of its peer, and is unique.
func protection[T any](peers func(*T) []api.PeerProtection, strangers func(*T) api.Traffic) []metric[T] {
	hops := func(snapshot *T, do func(string, *api.Hop)) {
		for _, p := range peers(snapshot) {
			for i := range p.Hops {
				do(p.Hops[i].Name, &p.Hops[i])
			}
		}
	}
	return append(eachOf("hop", hops, slices.Concat(tagged[api.Hop](), hopMetrics)), metric[T]{
		"peer_protected", "1 if the protection that a peer requires is in place, by hop. Peers that require none have none.", gauge,
		[]string{"peer", "hop"},
		func(snapshot *T, emit emit) {
			for _, p := range peers(snapshot) {
				peerProtected(&p, emit)
			}
		},
	}, metric[T]{
		"strangers_dropped_packets_total", "Relayed messages from nobody that is configured, which were dropped.", counter, nil,
		func(snapshot *T, emit emit) { emit(float64(strangers(snapshot).Packets)) },
	})
}

func peerProtected(p *api.PeerProtection, emit emit) {
	if p.Protection == trust.ProtectionNone.String() {
		return
	}
	if len(p.Hops) == 0 {
		emit(truth(p.Protected), p.Name, "")
	}
	for i := range p.Hops {
		emit(truth(p.Hops[i].Protected), p.Name, p.Hops[i].Name)
	}
}

var relayProtection = protection(func(c *api.Counters) []api.PeerProtection {
	peers := make([]api.PeerProtection, len(c.Peers))
	for i := range c.Peers {
		peers[i] = c.Peers[i].PeerProtection
	}
	return peers
}, func(c *api.Counters) api.Traffic { return c.Strangers })

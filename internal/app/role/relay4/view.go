package relay4

import (
	"fmt"
	"strings"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/traffic"
	"fairlead/internal/host/nft"
	"fairlead/internal/wire/dhcp4"
)

// linksOf are the links with clients, with the packets that were dropped there for their source.
func linksOf(core *relay4.Relay, spoofed map[string]nft.Spoofed) []api.Relay4Link {
	found := []api.Relay4Link{}
	for _, l := range core.Links() {
		if l.ClientFacing {
			at := spoofed[l.Name]
			found = append(found, api.Relay4Link{
				Name: l.Name, Up: l.Up, VRF: l.VRF, Trusted: l.Trusted, GIAddr: l.GIAddr, CircuitID: l.CircuitID, Leases: l.Leases,
				Filter: l.Filter.String(), Spoofed: at.Packets, LastSpoofed: control.SpoofedOf(&at, time.Now()),
				Relay4Counters: figuresOf(&l.Counters.Counts, l.Counters.LinkCounts, false),
			})
		}
	}
	return found
}

// countersOf are the figures of all links that ever were.
func countersOf(core *relay4.Relay) api.Relay4Counters {
	sum, _ := core.Sum()
	return figuresOf(&sum.Counts, sum.LinkCounts, true)
}

// leasesOf are the figures of the leases on view.
func leasesOf(core *relay4.Relay) api.Relay4Leases {
	t := core.Totals()
	return api.Relay4Leases{Leases: t.Leases, Pending: t.Pending, Unkept: t.Unkept, Uninstalled: t.Uninstalled, WaitForClock: t.WaitForClock, Events: t.Events, Ends: t.Ends, Refusals: t.Refusals}
}

// totalsOf are the sums of these figures.
func totalsOf(links []api.Relay4Link, c api.Relay4Counters) *api.Relay4Totals {
	sum := func(counts map[string]uint64) (n uint64) {
		for _, count := range counts {
			n += count
		}
		return n
	}
	return &api.Relay4Totals{Links: len(links), Received: sum(c.Received), Delivered: sum(c.Delivered), Dropped: sum(c.Drops)}
}

// figuresOf makes the counters that operators see. With all, it includes those that are 0.
func figuresOf(t *traffic.Counts, counts relay4.LinkCounts, all bool) api.Relay4Counters {
	c := api.Relay4Counters{
		Received: typesOf(&t.Received), Delivered: typesOf(&t.Sent), Drops: control.AllDrops(&t.Drops),
		Relay4Counts: api.Relay4Counts(counts),
	}
	if !all {
		control.NonZero(c.Received)
		control.NonZero(c.Delivered)
		control.NonZero(c.Drops)
	}
	return c
}

// typesOf are counts by the names of types: "discover", or "bootp" for messages without a type.
func typesOf(counts *[traffic.Types]uint64) map[string]uint64 {
	m := make(map[string]uint64)
	for t, n := range counts[:dhcp4.TLS+1] {
		m[strings.ToLower(strings.TrimPrefix(dhcp4.MessageType(t).String(), "DHCP"))] += n
	}
	return m
}

// wrong says in words what is not as it should be. The loop calls it.
func wrong(core *relay4.Relay) (words []string) {
	t := core.Totals()
	if t.Unkept > 0 {
		words = append(words, fmt.Sprintf("store: %d DHCPv4 leases not kept yet", t.Unkept))
	}
	if t.Uninstalled > 0 {
		words = append(words, fmt.Sprintf("kernel: %d DHCPv4 leases without their route or filter element; the log says what the kernel did not take", t.Uninstalled))
	}
	for _, l := range core.Links() {
		if l.ClientFacing && l.Up && !l.GIAddr.IsValid() {
			words = append(words, "link "+l.Name+": it has no IPv4 address, and the rule names none: no DHCPv4 message of its clients is relayed")
		}
	}
	return words
}

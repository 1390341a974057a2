package relay

import (
	"fmt"
	"maps"
	"slices"

	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/netlink"
)

// routedTables are the links on which prefixes that routes of other programs lead there are
// permitted as source, by index, with the routing table of each.
func (r *relay) routedTables(core *relay6.Relay) map[int]uint32 {
	tables := make(map[int]uint32)
	for name, l := range r.Net.Links() {
		if rule := core.Rule(name); l.Up && l.Index > 0 && rule != nil && rule.PermitsRouted() {
			tables[l.Index] = l.Table
		}
	}
	return tables
}

// watchRouted sets the links whose routes are looked at. With anew, they are looked at even if
// these links are the same as before.
func (f *foreignRoutes) watchRouted(tables map[int]uint32, anew bool) {
	f.mu.Lock()
	f.tables = tables
	w := f.watcher
	f.mu.Unlock()
	if w != nil {
		w.WatchRouted(tables, anew)
	}
}

// routed are the prefixes that routes of other programs lead to each of these links, by index.
func (f *foreignRoutes) routed() map[int]netlink.Routed {
	f.mu.Lock()
	w := f.watcher
	f.mu.Unlock()
	if w == nil {
		return nil
	}
	return w.Routed()
}

// permit tells a core which prefixes routes of other programs lead to its links. It logs links
// for which there are too many.
func (f *foreignRoutes) permit(core *relay6.Relay, eff *effect.Effects) {
	routed := f.routed()
	for name, l := range f.d.relay.Net.Links() {
		r := routed[l.Index]
		core.SetRouted(name, r.Prefixes, eff)
		if r.More == 0 {
			continue
		}
		if times, due := f.d.relay.Notes.Once.Due("routed "+name, service.Now().Boot); due {
			f.d.House.Told.Warn("more routes lead to the link than are taken for what its clients may use as source", "link", name, "taken", len(r.Prefixes), "more", r.More, "times", times)
		}
	}
}

// begin looks for the first time, before the kernel is compared: a client that was permitted
// before a restart stays permitted.
func (f *foreignRoutes) begin(core *relay6.Relay) {
	f.watchRouted(f.d.relay.routedTables(core), false)
	w, err := f.open()
	if err == nil {
		err = w.Look()
	}
	if err != nil {
		f.d.House.Told.Warn("what routes of others lead to links is not known yet", "error", err)
	}
}

// overfull tells of the links to which more routes lead than are used.
func (f *foreignRoutes) overfull() (words []string) {
	routed := f.routed()
	for _, index := range slices.Sorted(maps.Keys(routed)) {
		if r := routed[index]; r.More > 0 {
			words = append(words, fmt.Sprintf("link %s: %d more routes lead there than the %d that are taken for what its clients may use as source (permit-routed)", f.d.relay.Net.Name(index), r.More, len(r.Prefixes)))
		}
	}
	return words
}

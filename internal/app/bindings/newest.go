package bindings

import (
	"slices"

	"fairlead/internal/app/api"
)

// newest keeps the entries that were granted last, a bounded number of them.
type newest struct {
	limit   int
	entries []api.HistoryEntry
}

func (h *newest) add(e api.HistoryEntry) {
	if h.entries = append(h.entries, e); len(h.entries) >= 2*h.limit {
		h.entries = h.take()
	}
}

func (h *newest) take() []api.HistoryEntry {
	slices.SortStableFunc(h.entries, func(a, b api.HistoryEntry) int { return b.Granted.Compare(a.Granted) })
	return h.entries[:min(len(h.entries), h.limit)]
}

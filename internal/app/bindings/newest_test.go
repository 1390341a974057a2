package bindings

import (
	"testing"
	"time"

	"fairlead/internal/app/api"
)

func TestNewestKeepsWhatWasGrantedLast(t *testing.T) {
	h := newest{limit: 3}
	for _, hour := range []int{4, 9, 1, 7, 3, 8, 2, 6, 5, 0} {
		h.add(api.HistoryEntry{Granted: time.Unix(int64(hour)*3600, 0)})
		if len(h.entries) >= 2*h.limit {
			t.Fatalf("%d entries held, want fewer than %d", len(h.entries), 2*h.limit)
		}
	}
	got := h.take()
	if len(got) != 3 {
		t.Fatalf("%d entries, want 3", len(got))
	}
	for i, hour := range []int{9, 8, 7} {
		if want := time.Unix(int64(hour)*3600, 0); !got[i].Granted.Equal(want) {
			t.Errorf("entry %d granted at %v, want %v", i, got[i].Granted, want)
		}
	}
}

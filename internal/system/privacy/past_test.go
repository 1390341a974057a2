package privacy_test

import (
	"bytes"
	"testing"

	"fairlead/internal/host/store"
)

// past returns how many records of ended delegations are in the store of a relay that does not
// run, and how many of them identify somebody.
func (r *network) past(s somebody) (records, telling int) {
	r.T.Helper()
	kept, err := store.Open(r.Fairlead.State, store.Options{ReserveBytes: -1})
	r.Need(err)
	defer kept.Close()
	r.Need(kept.Scan([]byte("h"), []byte("i"), func(k, v []byte) bool {
		records++
		for _, o := range s.octets() {
			if bytes.Contains(k, o) || bytes.Contains(v, o) {
				telling++
				break
			}
		}
		return true
	}))
	return records, telling
}

// At a start, a stricter privacy.history is applied to the past: records are masked if
// identifiers are to be hashed, and deleted if there is to be no history. An operator who asks
// for one client finds it in a masked past.
func TestStricterAboutThePast(t *testing.T) {
	for name, want := range map[string]struct {
		how     string
		records int
	}{
		"hashed":  {"history: hashed, salt: kept", 2},
		"none":    {"history: none", 0},
		"minimal": {"store: minimal", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := build(t, 1, 1)
			r.become(1)
			r.start(r.config("", ""))
			c := r.Play(1, somebody(1).duid())
			for range 2 {
				reply := c.Obtain(somebody(1).iaid())
				c.Release(reply)
			}
			var all []struct{ Reason string }
			r.Until("two have ended", func() bool {
				r.Fairlead.Show(&all, "history", "--client", somebody(1).duid().String())
				return len(all) == 2 && all[0].Reason != "" && all[1].Reason != ""
			})
			r.Fairlead.Stop()
			if records, telling := r.past(1); records != 2 || telling != 2 {
				t.Fatalf("the store has %d records, of which %d tell of the client, want 2", records, telling)
			}

			r.start(r.config("privacy: {"+want.how+"}\n", ""))
			r.Until("the past is as it should be", func() bool {
				out := r.Fairlead.CLI("history", "--json")
				return len(found(out, 1)) == 0
			})
			r.Fairlead.Show(&all, "history", "--client", somebody(1).duid().String())
			if len(all) != want.records {
				t.Errorf("who asks for the client finds %d, want %d", len(all), want.records)
			}
			r.Fairlead.Stop()
			if records, telling := r.past(1); records != want.records || telling != 0 {
				t.Errorf("the store has %d records, of which %d tell of the client, want %d and none", records, telling, want.records)
			}
		})
	}
}

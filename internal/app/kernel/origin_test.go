package kernel

import (
	"encoding/hex"
	"strings"
	"testing"

	"fairlead/internal/core/instant"
	"fairlead/internal/host/store"
)

// Only where the store is new, another one than the table's, or was damaged, does
// what it does not explain stay; and then until its end, over restarts.
func TestUnexplained(t *testing.T) {
	const boot = "this boot"
	id := strings.Repeat("i", 16)
	tableID, now := hex.EncodeToString([]byte(id)), instant.Now{Boot: 100}
	whole := origin{id: id, used: true}
	with := func(change func(*origin)) origin { o := whole; change(&o); return o }
	for name, tt := range map[string]struct {
		o       origin
		stats   store.Stats
		found   bool
		tableID string
		want    string
	}{
		"the own store, whole":               {whole, store.Stats{}, true, tableID, ""},
		"no table, whatever the store":       {origin{}, store.Stats{CommitsLost: 1}, false, "", ""},
		"a new store":                        {origin{}, store.Stats{}, true, tableID, "the store is new"},
		"a new store, a table without an id": {origin{}, store.Stats{}, true, "", "the store is new"},
		"another store":                      {whole, store.Stats{}, true, strings.Repeat("0", 32), "the store is another one than before"},
		"a table that has lost its id":       {whole, store.Stats{}, true, "", "the store is another one than before"},
		"both of a version without ids":      {origin{used: true}, store.Stats{}, true, "", ""},
		"a record was set aside":             {whole, store.Stats{RecordsSetAside: 1}, true, tableID, "the store was damaged"},
		"one had been set aside before":      {with(func(o *origin) { o.records = 1 }), store.Stats{RecordsSetAside: 1}, true, tableID, ""},
		"a database was set aside":           {whole, store.Stats{DatabasesSetAside: []string{"corrupt-1"}}, true, tableID, "the store was damaged"},
		"one was, before it had an id":       {origin{used: true}, store.Stats{DatabasesSetAside: []string{"corrupt-1"}}, true, "", "the store was damaged"},
		"the log had lost its end":           {whole, store.Stats{CommitsLost: 3}, true, tableID, "the store was damaged"},
		"the time of orphans has not passed": {with(func(o *origin) { o.boot, o.until = boot, 101 }), store.Stats{}, true, tableID, "the store was replaced or damaged before an earlier start"},
		"their time has passed":              {with(func(o *origin) { o.boot, o.until = boot, 100 }), store.Stats{}, true, tableID, ""},
		"their time was in another boot":     {with(func(o *origin) { o.boot, o.until = "another", 101 }), store.Stats{}, true, tableID, ""},
	} {
		if got := tt.o.unexplained(tt.stats, boot, tt.found, tt.tableID, now); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// What a store says of itself is read back as it was kept.
func TestOriginIsKept(t *testing.T) {
	s, err := store.Open(t.TempDir(), store.Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if o, err := readOrigin(s); err != nil || o != (origin{}) {
		t.Errorf("of a new store: %+v, %v", o, err)
	}
	want := origin{id: strings.Repeat("i", 16), records: 3, databases: 2, until: 77, boot: "boot", used: true}
	for range 2 {
		if err := s.Commit(want.kept()); err != nil {
			t.Fatal(err)
		}
		if got, err := readOrigin(s); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		want.until, want.boot = 0, ""
	}
}

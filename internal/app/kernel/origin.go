package kernel

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"fairlead/internal/core/instant"
	"fairlead/internal/host/store"
)

// The store and the filter table in the kernel have the same random id. If the ids are equal and
// the store is whole, everything that the kernel has and the store does not explain has ended. If
// the store is new, is another one or was damaged, such routes may be the routes of all clients, so
// they stay for a time, as orphans (core/hoststate).
var (
	idKey      = []byte("m/id")      // the id, and how much of the store had been set aside by then
	orphansKey = []byte("m/orphans") // until when orphans stay, and in which boot
)

// origin is what a store says about itself.
type origin struct {
	id                 string // 16 octets; empty: the store has none yet
	records, databases uint64 // how many had been set aside at the last start
	until              instant.Instant
	boot               string // the boot that until belongs to; empty: there is no until
	used               bool   // the store is not empty
}

func readOrigin(from *store.Store) (o origin, err error) {
	err = from.Scan(nil, nil, func([]byte, []byte) bool {
		o.used = true
		return false
	})
	return o, errors.Join(err, from.Scan([]byte("m/"), []byte("m0"), func(k, v []byte) bool {
		switch {
		case string(k) == string(idKey) && len(v) == 16+8+8:
			o.id, o.records, o.databases = string(v[:16]), binary.BigEndian.Uint64(v[16:]), binary.BigEndian.Uint64(v[24:])
		case string(k) == string(orphansKey) && len(v) > 8:
			o.until, o.boot = instant.Instant(binary.BigEndian.Uint64(v)), string(v[8:])
		}
		return true
	}))
}

// kept are the operations that keep an origin.
func (o *origin) kept() []store.Op {
	id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte(o.id), o.records), o.databases)
	orphans := store.Op{Key: orphansKey}
	if o.boot != "" {
		orphans.Value = append(binary.BigEndian.AppendUint64(nil, uint64(o.until)), o.boot...)
	}
	return []store.Op{{Key: idKey, Value: id}, orphans}
}

// unexplained says why things in the kernel stay that the store does not explain; empty: they are
// removed. found says whether there was a filter table, and tableID is the store id in it.
func (o *origin) unexplained(stats store.Stats, boot string, found bool, tableID string, now instant.Now) string {
	damaged := stats.RecordsSetAside > o.records || uint64(len(stats.DatabasesSetAside)) > o.databases || stats.CommitsLost > 0
	switch {
	case !found: // after a reboot, or a flush
		return ""
	case o.id == "" && tableID == "" && o.used && !damaged: // written by a version that wrote no ids
		return ""
	case o.id == "" && !o.used:
		return "the store is new"
	case damaged:
		return "the store was damaged"
	case hex.EncodeToString([]byte(o.id)) != tableID:
		return "the store is another one than before"
	case o.boot == boot && now.Boot < o.until:
		return "the store was replaced or damaged before an earlier start"
	}
	return ""
}

// match compares the ids of the store and of the filter table, and makes them equal. It sets
// k.unexplained and k.until.
func (k *Kernel) match(now instant.Now) error {
	o, err := readOrigin(k.o.Store)
	if err != nil {
		return err
	}
	orphans := k.o.Config().Host.Orphans
	stats := k.o.Store.Stats()
	found, tableID := k.o.Filter.Found()
	why := o.unexplained(stats, k.o.BootID, found, tableID, now)
	goesOn := o.boot == k.o.BootID && now.Boot < o.until && hex.EncodeToString([]byte(o.id)) == tableID
	switch {
	case why == "" || orphans == 0:
		why, o.boot = "", ""
	case !goesOn:
		o.boot, o.until = k.o.BootID, now.Boot.After(orphans)
	}
	k.unexplained, k.until = why, o.until
	if o.id == "" {
		var id [16]byte
		_, _ = rand.Read(id[:]) // it never fails
		o.id = string(id[:])
	}
	o.records, o.databases = stats.RecordsSetAside, uint64(len(stats.DatabasesSetAside))
	if err := k.o.Store.Commit(o.kept()); err != nil {
		// The table keeps its former id, so that the next start decides the same.
		k.o.Told.Warn("id of the store not kept", "error", err)
		return nil
	}
	return k.o.Filter.SetStoreID(hex.EncodeToString([]byte(o.id)))
}

// Unexplained says why things in the kernel that the store does not explain stay for a time, as
// orphans, and until when; empty: they are removed.
func (k *Kernel) Unexplained() (why string, until instant.Instant) { return k.unexplained, k.until }

// tellOfOrphans logs how many orphans there are. If there are none, it removes the record of them
// from the store.
func (k *Kernel) tellOfOrphans(now instant.Now) {
	n := 0
	for _, p := range k.parts {
		n += p.Kernel().Counts().Orphans
	}
	switch {
	case k.unexplained == "":
	case n > 0:
		k.o.Told.Warn("prefixes are routed that the store does not explain: they stay for a time, and their clients take them over as they renew",
			"prefixes", n, "why", k.unexplained, "until", now.WallAt(k.until),
			"see", `"fairlead delegations" and "fairlead leases" show them with source kernel, "fairlead clear" ends them`)
	default:
		if err := k.o.Store.Commit([]store.Op{{Key: orphansKey}}); err != nil {
			k.o.Told.Warn("store: not kept that there are no orphans", "error", err)
		}
	}
}

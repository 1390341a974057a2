package ledger

import (
	"encoding/binary"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// keepPast appends the record of a binding that has ended, if a history is kept. Its key begins with
// the time of the end, so that keys sort by time. A sequence number and the space make the keys of
// one instant differ.
func (l *Ledger) keepPast(ops []effect.KeepOp, now instant.Now, d *binding.Binding, why binding.Reason) []effect.KeepOp {
	if l.records.NoHistory {
		return ops
	}
	l.historySeq++
	key := binary.BigEndian.AppendUint64([]byte{'h'}, uint64(now.Wall.UnixNano()))
	key = append(binary.BigEndian.AppendUint16(key, l.historySeq), l.in...)
	past := *d
	if l.records.MaskPast != nil {
		l.records.MaskPast(&past)
	}
	return append(ops, effect.KeepOp{Key: key, Value: binding.AppendRecord(pastReason(why.String()), l.in, &past, now, l.bootID)})
}

// pastReason is the beginning of the record of an ended binding: the length of the reason in one
// octet, and the reason.
func pastReason(reason string) []byte {
	return append([]byte{byte(len(reason))}, reason...)
}

// HistoryRange is the range of the keys of bindings that ended in [from, to).
func HistoryRange(from, to time.Time) (lo, hi []byte) {
	edge := func(t time.Time) []byte {
		return binary.BigEndian.AppendUint64([]byte{'h'}, uint64(max(0, t.UnixNano())))
	}
	return edge(from), edge(to)
}

// IsPast reports whether a key belongs to the history.
func IsPast(key []byte) bool {
	return (len(key) == pastKey || len(key) == formerPastKey) && key[0] == 'h'
}

// pastKey is the length of a key of the history: its letter, the time of the end, a sequence number
// and a space. Keys from the time when there was only one role have no space.
const (
	formerPastKey = 1 + 8 + 2
	pastKey       = formerPastKey + 2
)

// Past is one binding that has ended.
type Past struct {
	binding.Record
	Ended  time.Time
	Reason string
}

// ParsePast reads one record of the history.
func ParsePast(key, value []byte) (Past, error) {
	if !IsPast(key) || len(value) < 1 || len(value) < 1+int(value[0]) {
		return Past{}, binding.ErrRecord
	}
	rec, err := binding.ParseRecord(value[1+int(value[0]):])
	if err != nil {
		return Past{}, err
	}
	return Past{Record: rec, Ended: time.Unix(0, int64(binary.BigEndian.Uint64(key[1:]))), Reason: string(value[1 : 1+int(value[0])])}, nil
}

// Value is the record as it is kept under its key.
func (p *Past) Value() []byte { return p.Append(pastReason(p.Reason)) }

var clockKey = []byte("m/wall")

// wallEvery is how often the wall time is kept. A clock that is set back by less than that is not
// noticed.
const wallEvery = time.Second

// ClockKey is the key of the last wall time that was kept.
func ClockKey() []byte { return clockKey }

func clockOp(now instant.Now) effect.KeepOp {
	return effect.KeepOp{Key: clockKey, Value: binary.BigEndian.AppendUint64(nil, uint64(now.Wall.UnixNano()))}
}

// ParseClock reads the last wall time that was kept; the zero time if there is none.
func ParseClock(value []byte) time.Time {
	if len(value) != 8 {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(value)))
}

package ledger

import (
	"encoding/binary"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// keepPast appends the record of who had what until when, if a history is kept.
// The key sorts by the end; a sequence number and the space keep ends of one instant apart.
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

// pastReason is what the record of an ended delegation begins with.
func pastReason(reason string) []byte {
	return append([]byte{byte(len(reason))}, reason...)
}

// HistoryRange is the range of keys of what ended in [from, to).
func HistoryRange(from, to time.Time) (lo, hi []byte) {
	edge := func(t time.Time) []byte {
		return binary.BigEndian.AppendUint64([]byte{'h'}, uint64(max(0, t.UnixNano())))
	}
	return edge(from), edge(to)
}

// IsPast reports whether a key is one of the history.
func IsPast(key []byte) bool {
	return (len(key) == pastKey || len(key) == formerPastKey) && key[0] == 'h'
}

// pastKey is the length of a key of the history: its letter, the instant of the
// end, a sequence number, a space. Keys of the time when there was one role end before that.
const (
	formerPastKey = 1 + 8 + 2
	pastKey       = formerPastKey + 2
)

// Past is one delegation that ended.
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

// wallEvery is how exactly the last instant kept is kept: a clock that comes back
// less than that behind is not noticed.
const wallEvery = time.Second

// ClockKey is where the last instant kept is kept.
func ClockKey() []byte { return clockKey }

func clockOp(now instant.Now) effect.KeepOp {
	return effect.KeepOp{Key: clockKey, Value: binary.BigEndian.AppendUint64(nil, uint64(now.Wall.UnixNano()))}
}

// ParseClock reads the last instant kept; the zero time if there is none.
func ParseClock(value []byte) time.Time {
	if len(value) != 8 {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(value)))
}

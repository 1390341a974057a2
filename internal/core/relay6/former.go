package relay6

import (
	"fmt"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
)

// FormerRange is the range of the keys of the time when there was one role: each began
// with its letter alone.
func FormerRange() (from, to []byte) { return []byte{linkLetter}, []byte{bindingLetter + 1} }

const (
	blockLetter   = 'b'
	bindingLetter = 'd'
)

// Rewrite turns a record under a former key into one of today, and forgets the former
// one. Errors wrap binding.ErrRecord.
func Rewrite(key, value []byte) ([]effect.KeepOp, error) {
	var now effect.KeepOp
	switch key[0] {
	case linkLetter:
		now.Key = LinkKey(string(key[1:]))
		_, rec, err := ParseLinkRecord(now.Key, value)
		if err != nil {
			return nil, err
		}
		now.Value = rec.Append(nil)
	case blockLetter:
		b, err := delegation.ParseFormerBlock(key)
		if err != nil {
			return nil, err
		}
		now = effect.KeepOp{Key: delegation.BlockKey(nil, b), Value: []byte{}}
	case bindingLetter:
		rec, err := binding.ParseRecord(value)
		if err != nil {
			return nil, err
		}
		now = effect.KeepOp{Key: binding.Key(nil, rec.Space, rec.VRF, rec.Prefix), Value: rec.Append(nil)}
	default:
		return nil, fmt.Errorf("%w: key %x", binding.ErrRecord, key)
	}
	return []effect.KeepOp{now, {Key: key}}, nil
}

package loadgen

import (
	"math/bits"
	"time"
)

const (
	subBits     = 7 // each power of two has 128 steps: they are less than 1 % apart
	subBuckets  = 1 << subBits
	maxExponent = 40 // 2^40 ns are 18 minutes; longer durations are counted as that
	buckets     = (maxExponent - subBits + 1) * subBuckets
)

// Histogram counts durations, with an error of at most 1 %, in a fixed 35 kB. The zero value is
// ready for use.
type Histogram struct {
	count    [buckets]uint32
	total    uint64
	min, max time.Duration
}

// bucketOf returns the bucket of a duration: exact below 128 ns, then 128 steps for each power of
// two.
func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < subBuckets {
		return int(n)
	}
	n = min(n, 1<<maxExponent-1)
	shift := bits.Len64(n) - 1 - subBits
	return (shift+1)<<subBits + int(n>>shift) - subBuckets
}

// middle returns the middle of a bucket.
func middle(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	low := (uint64(bucket&(subBuckets-1)) + subBuckets) << shift
	return time.Duration(low + 1<<shift/2)
}

// Add counts one duration. A negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	if h.total == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.total++
	h.count[bucketOf(d)]++
}

// Merge adds all that other has counted.
func (h *Histogram) Merge(other *Histogram) {
	if other.total == 0 {
		return
	}
	if h.total == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.total += other.total
	for i, n := range other.count {
		h.count[i] += n
	}
}

// Reset forgets everything.
func (h *Histogram) Reset() { *h = Histogram{} }

// Min returns the shortest duration, exactly; 0 if there is none.
func (h *Histogram) Min() time.Duration { return h.min }

// Max returns the longest duration, exactly; 0 if there is none.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns the duration that the share q, from 0 to 1, of all durations does not exceed;
// 0 if there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := min(uint64(q*float64(h.total)), h.total-1) // how many durations are before it
	var seen uint64
	for i, n := range h.count {
		if seen += uint64(n); seen > rank {
			return min(max(middle(i), h.min), h.max)
		}
	}
	return h.max
}

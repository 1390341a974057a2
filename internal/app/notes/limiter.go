package notes

import (
	"maps"
	"sync"
	"time"

	"fairlead/internal/core/instant"
)

// Limiter lets each of a bounded number of subjects log once in an interval, and tells how often
// it wanted to. The subjects for which there is no room count as one: else a flood of subjects
// would make a flood of log lines.
type Limiter struct {
	every time.Duration

	mu    sync.Mutex // guards all following fields
	last  map[string]*spoken
	rest  spoken          // the subjects without room
	again instant.Instant // when there may be room next
}

type spoken struct {
	after instant.Instant // from then on it may log again
	times uint64
}

const maxSubjects = 4096

// NewLimiter begins without subjects.
func NewLimiter(every time.Duration) *Limiter {
	return &Limiter{every: every, last: make(map[string]*spoken)}
}

// Due reports whether a subject may log now, and how often it wanted to since it last did.
func (l *Limiter) Due(subject string, at instant.Instant) (times uint64, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.last[subject]
	if s == nil {
		s = l.add(subject, at)
	}
	s.times++
	if at < s.after {
		return 0, false
	}
	times, s.times, s.after = s.times, 0, at.After(l.every)
	return times, true
}

// add makes room for a subject. It may take the place of subjects that may log again anyway.
func (l *Limiter) add(subject string, at instant.Instant) *spoken {
	if len(l.last) >= maxSubjects && at >= l.again {
		l.again = at.After(l.every)
		maps.DeleteFunc(l.last, func(_ string, s *spoken) bool { return at >= s.after })
	}
	if len(l.last) >= maxSubjects {
		return &l.rest
	}
	s := &spoken{after: at}
	l.last[subject] = s
	return s
}

package labtest

import (
	"strings"
	"sync"
)

// Log is a text that one goroutine writes while others read it. The zero Log is
// empty.
type Log struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

// Write adds to the text.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String returns the text so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

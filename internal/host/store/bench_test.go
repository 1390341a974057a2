package store

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
)

// record returns the ith record of a relay: a key of 24 octets, a value of 200.
func record(i int) Op {
	key := make([]byte, 24)
	binary.BigEndian.PutUint64(key, uint64(i)*0x9e3779b97f4a7c15)
	value := make([]byte, 200)
	for j := range value {
		value[j] = byte(i >> (j % 24) * j)
	}
	return Op{Key: key, Value: value}
}

func group(from, size int) []Op {
	ops := make([]Op, size)
	for i := range ops {
		ops[i] = record((from + i) % 100_000)
	}
	return ops
}

// Durable records in a second, by the number of records in a commit.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("group=%d", size), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{})
			n := 0
			for b.Loop() {
				commit(b, s, group(n, size)...)
				n += size
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// A start with 100 000 records: all of them are checked, and read.
func BenchmarkLoad(b *testing.B) {
	const records = 100_000
	dir := b.TempDir()
	s := open(b, dir, Options{})
	for n := 0; n < records; n += 500 {
		commit(b, s, group(n, 500)...)
	}
	disk := s.Stats().DiskBytes
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var m runtime.MemStats
	for b.Loop() {
		s := open(b, dir, Options{})
		n := 0
		if err := s.Scan(nil, nil, func(_, _ []byte) bool { n++; return true }); err != nil || n != records {
			b.Fatalf("%d records, %v", n, err)
		}
		runtime.ReadMemStats(&m)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(m.Sys)/(1<<20), "MB-sys")
	b.ReportMetric(float64(disk)/(1<<20), "MB-disk")
}

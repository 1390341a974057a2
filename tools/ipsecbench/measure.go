package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// figures are what was measured, one a round, and where.
type figures struct {
	Processor string
	Cores     int
	Kernel    string

	Clear, Protected []float64 // exchanges a second
	Start            []float64 // seconds from the start of relay and guard to the first answer
	Notice           []float64 // seconds from the loss of the SAs until the relay says so
	Recover          []float64 // seconds from the loss of the SAs to the first answer
}

// measure measures everything, and writes the figures for who started it.
func measure(count string) error {
	rounds, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	binary := os.Getenv("FAIRLEAD_BIN")
	if binary == "" {
		return errors.New("FAIRLEAD_BIN names no program")
	}
	f := figures{Processor: processor(), Cores: runtime.NumCPU(), Kernel: kernel()}
	if err := warm(binary); err != nil {
		return err
	}
	if err := f.starts(binary, rounds); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := f.cuts(binary, rounds); err != nil {
		return fmt.Errorf("notice and recover: %w", err)
	}
	if err := f.rates(binary, rounds); err != nil {
		return fmt.Errorf("throughput: %w", err)
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s%s\n", mark, text)
	return err
}

// warm fails on a kernel without ESP, and has it load what ESP and the filter need,
// which is not the relay's time.
func warm(binary string) error {
	if err := findESP(); err != nil {
		return err
	}
	took, err := start(binary)
	if err == nil {
		fmt.Printf("start 0: %.2f s, which does not count\n", took.Seconds())
	}
	return err
}

func findESP() (err error) {
	n, err := lab.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	d, err := n.Node("probe")
	if err != nil {
		return err
	}
	if _, err := d.IP("xfrm state add src ::1 dst ::2 proto esp spi 0x1001 mode transport aead rfc4106(gcm(aes)) 0x%040d 128", 1); err != nil {
		return fmt.Errorf("the kernel has no ESP: %w", err)
	}
	return nil
}

// starts measures cold starts, each in a network of its own.
func (f *figures) starts(binary string, rounds int) error {
	for i := range rounds {
		took, err := start(binary)
		if err != nil {
			return err
		}
		f.Start = append(f.Start, took.Seconds())
		fmt.Printf("start %d: %.2f s\n", i+1, took.Seconds())
	}
	return nil
}

func start(binary string) (took time.Duration, err error) {
	r, err := newRig(binary, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	a, err := r.asker()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := r.launch(); err != nil {
		return 0, err
	}
	err = a.answered()
	return time.Since(began), err
}

// cuts deletes the relay's SAs again and again.
func (f *figures) cuts(binary string, rounds int) (err error) {
	r, err := newRig(binary, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.launch(); err != nil {
		return err
	}
	for i := range rounds {
		if err := r.settled(); err != nil {
			return err
		}
		notice, back, err := r.cut()
		if err != nil {
			return err
		}
		f.Notice = append(f.Notice, notice.Seconds())
		f.Recover = append(f.Recover, back.Seconds())
		fmt.Printf("cut %d: noticed after %.2f s, messages pass after %.2f s\n", i+1, notice.Seconds(), back.Seconds())
	}
	return nil
}

// cut deletes the relay's SAs while a client asks, and waits until the relay has
// said so and an answer has come to what was asked since.
func (r *rig) cut() (notice, back time.Duration, err error) {
	before, err := r.asker()
	if err != nil {
		return 0, 0, err
	}
	if err := errors.Join(before.answered(), before.client.Close()); err != nil {
		return 0, 0, err
	}
	noticed := make(chan error, 1)
	began := time.Now()
	if _, err := r.relay.IP("xfrm state deleteall"); err != nil {
		return 0, 0, err
	}
	// What is asked in the moment between deletion and the first look is lost.
	a, err := r.asker()
	if err != nil {
		return 0, 0, err
	}
	go func() {
		err := lab.Until(patience, "the relay says that it is not protected", func() bool {
			ok, err := r.relaySays()
			return err == nil && !ok
		})
		notice = time.Since(began)
		noticed <- err
	}()
	err = a.answered()
	back = time.Since(began)
	err = errors.Join(err, <-noticed)
	return notice, back, errors.Join(err, a.client.Close())
}

// asker is a client that asks until it is answered.
type asker struct {
	client *script.Client
}

func (r *rig) asker() (*asker, error) {
	c, err := script.StartClient(r.gen, script.ClientConfig{Interface: "g0", DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}})
	return &asker{c}, err
}

// between is how long it waits before it asks again.
const between = 50 * time.Millisecond

// answered asks until one of its own messages is answered.
func (a *asker) answered() error {
	asked := make(map[uint32]bool)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		m := a.client.Message(dhcp6.Solicit, script.IAPD(1))
		sent, err := dhcp6.ParseMessage(m)
		if err != nil {
			return err
		}
		asked[sent.TransactionID()] = true
		if err := a.client.Send(m); err != nil {
			return err
		}
		for again := time.Now().Add(between); ; {
			p, err := a.client.Receive(time.Until(again))
			if err != nil {
				break
			}
			if got, err := dhcp6.ParseMessage(p.Data); err == nil && asked[got.TransactionID()] {
				return nil
			}
		}
	}
	return fmt.Errorf("nothing was answered in %v", patience)
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

package ipsec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp6"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// Inside measures everything, and prints the figures for the process that started it.
func Inside(count string) error {
	rounds, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	binary := os.Getenv("FAIRLEAD_BIN")
	if binary == "" {
		return errors.New("FAIRLEAD_BIN names no program")
	}
	var figures bytes.Buffer
	if err := harness.Measured(binary, rounds, benches, &figures); err != nil {
		return err
	}
	for line := range strings.Lines(figures.String()) {
		fmt.Print(mark, " ", line)
	}
	return nil
}

func benches(r *harness.Run) []harness.Bench {
	var cutting *rig
	rates := map[string]*rig{}
	return []harness.Bench{
		{
			Name: "start", Between: []string{"fairlead"},
			// A first start makes the kernel load what ESP and the filter need. That is not the
			// relay's time, so it is not measured.
			Begin: func(string) error {
				err := findESP()
				if err == nil {
					_, err = cold(r)
				}
				return err
			},
			Turns: []harness.Turn{func(_ string, _ int, to *harness.Results) error {
				took, err := cold(r)
				if err == nil {
					to.Add(start, 1, harness.Of(took.Seconds(), answered))
				}
				return err
			}},
		},
		{
			Name: "notice and recover", Between: []string{"fairlead"},
			Begin: func(string) (err error) {
				if cutting, err = newRig(r, true); err == nil {
					err = cutting.launch()
				}
				return err
			},
			Turns: []harness.Turn{func(_ string, _ int, to *harness.Results) error {
				notice, back, err := cutting.cut()
				if err == nil {
					to.Add(cut, 1, harness.Of(notice.Seconds(), noticed), harness.Of(back.Seconds(), recovered))
				}
				return err
			}},
			End: func() error { return cutting.Close() },
		},
		{
			Name: "throughput", Between: []string{clear, esp},
			Begin: func(hop string) (err error) {
				if rates[hop], err = newRig(r, hop == esp); err != nil {
					return err
				}
				return errors.Join(rates[hop].launch(), rates[hop].ready(), rates[hop].Rest())
			},
			Turns: []harness.Turn{func(hop string, _ int, to *harness.Results) error {
				return rates[hop].InTurn(func() error {
					if err := rates[hop].ready(); err != nil {
						return err
					}
					res, err := rates[hop].PlayNow(throughput)
					if err == nil {
						res.AddTo(to, hop)
					}
					return err
				})
			}},
		},
	}
}

// throughput is a load of as many exchanges as the machine can do with a few under way at a time.
// None of them changes anything.
var throughput = network.Load{Clients: 64, Mix: network.Plain, Window: 16, Length: 4 * time.Second, Timeout: 2 * time.Second}

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

// between is how long a client waits before it asks again.
const between = 50 * time.Millisecond

// cold returns how long a start takes in a network of its own.
func cold(run *harness.Run) (took time.Duration, err error) {
	r, err := newRig(run, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	client, err := r.Asker()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	began := time.Now()
	if err := r.launch(); err != nil {
		return 0, err
	}
	err = client.Answered(dhcp6.Solicit, between)
	return time.Since(began), err
}

// cut deletes the relay's SAs while a client asks, and waits until the relay has reported it, and
// a message that was sent after that is answered.
func (r *rig) cut() (notice, back time.Duration, err error) {
	if err := r.ready(); err != nil {
		return 0, 0, err
	}
	client, err := r.Asker()
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	if err := client.Answered(dhcp6.Solicit, between); err != nil {
		return 0, 0, err
	}
	said := make(chan error, 1)
	began := time.Now()
	if _, err := r.Relay.IP("xfrm state deleteall"); err != nil {
		return 0, 0, err
	}
	go func() {
		err := lab.Until(network.Patience, "the relay says that it is not protected", func() bool {
			ok, err := r.relaySays()
			return err == nil && !ok
		})
		notice = time.Since(began)
		said <- err
	}()
	// A message that is sent between the deletion and the relay's first look is lost.
	err = client.Answered(dhcp6.Solicit, between)
	back = time.Since(began)
	err = errors.Join(err, <-said)
	return notice, back, err
}

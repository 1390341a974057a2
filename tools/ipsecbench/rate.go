package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// loadArguments are those of `fairlead load`: as many exchanges as the machine
// does with a few under way at a time, none of which changes anything.
var loadArguments = strings.Fields("load --json --interface g0 --clients 64 --mix solicit=1,information-request=1 " +
	"--window 16 --duration 4s --timeout 2s")

// rates measures exchanges a second, with and without IPsec in turns. The rig that
// waits is stopped.
func (f *figures) rates(binary string, rounds int) (err error) {
	kinds := []struct {
		name  string
		ipsec bool
		into  *[]float64
		rig   *rig
	}{{"in clear", false, &f.Clear, nil}, {"in ESP", true, &f.Protected, nil}}
	for i := range kinds {
		k := &kinds[i]
		if k.rig, err = newRig(binary, k.ipsec); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, k.rig.close()) }()
		if err := k.rig.launch(); err != nil {
			return err
		}
		if err := k.rig.settled(); err != nil {
			return err
		}
		if err := k.rig.rest(true); err != nil {
			return err
		}
	}
	for i := range rounds {
		for _, k := range kinds {
			rate, err := k.rig.rate(binary)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			*k.into = append(*k.into, rate)
			fmt.Printf("throughput %d, %s: %.0f exchanges/s\n", i+1, k.name, rate)
		}
	}
	return nil
}

// rate wakes the rig up for one run of the load generator.
func (r *rig) rate(binary string) (rate float64, err error) {
	if err := r.rest(false); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.rest(true)) }()
	if err := r.settled(); err != nil {
		return 0, err
	}
	out, err := r.gen.Run(append([]string{binary}, loadArguments...)...)
	if err != nil {
		return 0, err
	}
	return result(out)
}

// result is the rate of answers in what the load generator told: objects of JSON,
// one a line.
func result(told string) (float64, error) {
	for line := range strings.Lines(told) {
		var event struct {
			Event    string
			Answered int
			Rate     float64 `json:"answered_rate"`
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			return 0, fmt.Errorf("load: %q: %w", line, err)
		}
		switch {
		case event.Event != "result":
		case event.Answered == 0:
			return 0, errors.New("load: nothing was answered")
		default:
			return event.Rate, nil
		}
	}
	return 0, errors.New("load: no result")
}

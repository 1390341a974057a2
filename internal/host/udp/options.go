package udp

import (
	"fmt"
	"log/slog"
)

const (
	defaultBatch  = 128
	maxBatch      = 1024
	defaultBuffer = 512 << 10
	minBuffer     = 16 << 10
	maxBuffer     = 1 << 20
	minDatagram   = 1280
	maxDatagram   = 65535
)

// Options are the settings of a Conn. Zero values mean defaults.
type Options struct {
	// Logger gets what is worth knowing and cannot be returned; nil: nothing is logged.
	Logger *slog.Logger
	// Family is what the Conn carries, IPv6 if it is not set.
	Family Family
	// Port is the port of the relay agent: 547 for IPv6, 67 for IPv4.
	Port uint16
	// Batch is how many datagrams one system call moves at most: 1 to 1024,
	// default 128. Receive fills at most that many.
	Batch int
	// ReceiveBuffer and SendBuffer bound the kernel's memory for each socket, in octets: 16 KiB
	// to 1 MiB, default 512 KiB. In a longer queue, answers would only be later.
	ReceiveBuffer, SendBuffer int
	// Refused is called with ICMP errors about messages to peers, by the goroutine that is in
	// Receive. It must not call the Conn. It may be nil.
	Refused func(Refusal)
	// MaxDatagram is the longest IP packet that is received, without link
	// header: 1280 to 65535, the default.
	MaxDatagram int
}

func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Family >= families {
		return fmt.Errorf("udp: options: there is no family %d", o.Family)
	}
	if o.Port == 0 {
		o.Port = o.Family.profile().port
	}
	for _, f := range []struct {
		name              string
		value             *int
		initial, low, top int
	}{
		{"batch", &o.Batch, defaultBatch, 1, maxBatch},
		{"receive buffer", &o.ReceiveBuffer, defaultBuffer, minBuffer, maxBuffer},
		{"send buffer", &o.SendBuffer, defaultBuffer, minBuffer, maxBuffer},
		{"longest datagram", &o.MaxDatagram, maxDatagram, minDatagram, maxDatagram},
	} {
		if *f.value == 0 {
			*f.value = f.initial
		}
		if *f.value < f.low || *f.value > f.top {
			return fmt.Errorf("udp: options: %s is %d, allowed %d to %d", f.name, *f.value, f.low, f.top)
		}
	}
	return nil
}

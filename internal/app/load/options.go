package load

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"fairlead/internal/core/loadgen"
)

// Options is what a user can choose.
type Options struct {
	Interface string // the clients' link
	First     uint32
	Clients   int
	Mix       loadgen.Mix
	IAs       loadgen.IAs

	Rate    float64 // exchanges a second; 0: a window
	Window  int     // exchanges under way at a time
	Timeout time.Duration
	// Duration and Count end the measurement, whichever comes first; 0 is
	// without end.
	Duration time.Duration
	Count    uint64
	Prepare  int // clients that get a delegation before it begins
	Seed     uint32

	// Server, if valid, is spoken to directly, as a relay agent would.
	Server      netip.Addr
	Local       netip.Addr // of the relay agent
	LinkAddress netip.Addr
	InterfaceID string

	MaxLoss float64 // percent; above, Run returns an error. Negative: no limit
	JSON    bool
}

// The bounds of Options.
const (
	maxClients = 4_000_000
	maxWindow  = 65_536
	maxRate    = 1_000_000
	maxTimeout = time.Minute
	// fastest is what is taken for the rate of a window: it bounds memory.
	fastest = 300_000
)

// Check returns all that is wrong with o.
func (o *Options) Check() error {
	var wrong []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	refuse(o.Clients < 1 || o.Clients > maxClients, "--clients %d: want 1 to %d", o.Clients, maxClients)
	refuse(uint64(o.First)+uint64(max(o.Clients, 0)) > math.MaxUint32, "--first %d: with %d clients, indexes leave 32 bits", o.First, o.Clients)
	refuse(o.Prepare < 0 || o.Prepare > o.Clients, "--prepare %d: want 0 to the number of clients, %d", o.Prepare, o.Clients)
	refuse(o.Rate < 0 || o.Rate > maxRate || math.IsNaN(o.Rate), "--rate %g: want at most %d", o.Rate, maxRate)
	refuse(o.Rate == 0 && (o.Window < 1 || o.Window > maxWindow), "--window %d: want 1 to %d", o.Window, maxWindow)
	refuse(o.Timeout < time.Millisecond || o.Timeout > maxTimeout, "--timeout %s: want 1ms to %s", o.Timeout, maxTimeout)
	refuse(o.Duration < 0, "--duration %s: is negative", o.Duration)
	refuse(!o.IAs.NA && !o.IAs.PD, "--ia: want na, pd or both")
	refuse(o.MaxLoss > 100, "--max-loss %g: is a percentage", o.MaxLoss)
	refuse(o.Mix.NeedsHolders() && o.Prepare == 0 && !o.Mix.Grants(),
		"--mix %s: nobody holds a delegation to renew or release: use --prepare, or add request, rapid or four-way", o.Mix)
	if o.Server.IsValid() {
		refuse(o.Interface != "", "--interface: the clients of --server have none")
		refuse(!o.LinkAddress.IsValid(), "--server: --link-address must say which link the clients are on")
		for _, a := range []netip.Addr{o.Server, o.Local, o.LinkAddress} {
			refuse(a.IsValid() && !(a.Is6() && !a.Is4In6()), "%s: is no IPv6 address", a)
		}
	} else {
		refuse(o.Interface == "", "--interface: say on which link the clients are, or --server")
		refuse(o.Local.IsValid() || o.LinkAddress.IsValid() || o.InterfaceID != "", "--local, --link-address, --interface-id: are for --server")
	}
	return errors.Join(wrong...)
}

// slots is how many messages are to be remembered: as many as can be sent in two
// timeouts.
func (o *Options) slots() int {
	rate := o.Rate
	if rate == 0 {
		rate = fastest
	}
	return int(rate*o.Timeout.Seconds())*2 + 2*max(o.Window, prepareWindow)
}

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
	Family    loadgen.Family
	Interface string // the clients' link
	First     uint32
	Clients   int
	Mix       loadgen.Mix
	IAs       loadgen.IAs // for DHCPv6
	Broadcast bool        // for DHCPv4: clients without a lease ask for broadcast answers

	Rate    float64 // exchanges a second; 0: a window
	Window  int     // exchanges under way at a time
	Timeout time.Duration
	// Duration and Count end the measurement, whichever comes first; 0 means no end.
	Duration time.Duration
	Count    uint64
	Prepare  int // clients that get a lease before it begins
	Seed     uint32

	// Server, if valid, is the server to which messages are sent, as a relay agent sends them.
	Server      netip.Addr
	Local       netip.Addr // of the relay agent, for DHCPv6
	LinkAddress netip.Addr // for DHCPv4 it is giaddr, which is the relay agent's own address
	InterfaceID string

	MaxLoss float64 // percent; if more is lost, Run returns an error. Negative: no limit
	JSON    bool
}

// The bounds of Options.
const (
	maxClients = 4_000_000
	maxWindow  = 65_536
	maxRate    = 1_000_000
	maxTimeout = time.Minute
	// fastest is the rate that is assumed for a window: it bounds memory.
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
	four := o.Family == loadgen.DHCPv4
	refuse(!four && o.IAs == loadgen.IAs{}, "--ia: want na, pd or both")
	refuse(four && o.IAs != loadgen.IAs{}, "--ia: is for DHCPv6")
	refuse(!four && o.Broadcast, "--broadcast: is for DHCPv4")
	refuse(o.MaxLoss > 100, "--max-loss %g: is a percentage", o.MaxLoss)
	refuse(o.Family.NeedsHolders(o.Mix) && o.Prepare == 0 && !o.Family.Grants(o.Mix),
		"--mix %s: nobody holds a lease for that: use --prepare, or add a kind that gets one, as four-way does", o.Family.MixText(o.Mix))
	if o.Server.IsValid() {
		refuse(o.Interface != "", "--interface: the clients of --server have none")
		refuse(!o.LinkAddress.IsValid(), "--server: --link-address must say which link the clients are on")
		refuse(four && o.Local.IsValid(), "--local: is for DHCPv6: a DHCPv4 relay agent sends from its --link-address")
		// RFC 2131 section 4.3.5.
		refuse(four && o.Mix[loadgen.InformationRequest] > 0, "--mix inform: servers answer it to the client itself, which is on no link with --server")
		for _, a := range []netip.Addr{o.Server, o.Local, o.LinkAddress} {
			refuse(a.IsValid() && a.Is4() != four, "%s: is no address of %s", a, o.Family)
			refuse(a.Is4In6(), "%s: is an IPv4 address in IPv6", a)
		}
	} else {
		refuse(o.Interface == "", "--interface: say on which link the clients are, or --server")
		refuse(o.Local.IsValid() || o.LinkAddress.IsValid() || o.InterfaceID != "", "--local, --link-address, --interface-id: are for --server")
	}
	return errors.Join(wrong...)
}

// slots is how many messages are remembered: as many as can be sent in two timeouts.
func (o *Options) slots() int {
	rate := o.Rate
	if rate == 0 {
		rate = fastest
	}
	return int(rate*o.Timeout.Seconds())*2 + 2*max(o.Window, prepareWindow)
}

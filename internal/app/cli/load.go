package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"fairlead/internal/app/load"
	"fairlead/internal/core/loadgen"
)

// loadFlags are the flags whose text has to be read.
type loadFlags struct {
	load.Options
	mix, ias                   string
	server, local, linkAddress string
	direct, four               bool
}

func loadCommand() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use:   "load [-4] (--interface NAME | --server ADDRESS --link-address ADDRESS)",
		Short: "Play thousands of DHCP clients, and measure who answers how fast",
		Long: `Play thousands of DHCPv6 clients, or with -4 of DHCPv4, on an Ethernet link and
measure what becomes of their messages. Each has its own identifier and link-layer
address (client n: 02:fa and n in four octets). Neither the interface's own
addresses nor its routes are touched, and nothing is configured with what is granted.

It begins exchanges at a --rate, whatever comes back (latencies then count from
when an exchange should have begun), or keeps a --window of them under way. What
is not answered within --timeout is lost; what comes after it is late. Nothing is
sent again.

The kinds of --mix: solicit (Solicit, Advertise), request (Request, Reply: each by
a client that holds no lease), renew, rebind and release (by those that do; see
--prepare), information-request, rapid (Solicit with Rapid Commit, Reply), and
four-way (Solicit, Advertise, Request, Reply as one).

With -4: discover (Discover, Offer), request (Discover, Offer, Request, ACK: each by
a client that holds no lease), renew (Request to the server alone, ACK), rebind
(Request to all, ACK) and inform (Inform, ACK; all three by those that hold one), and
four-way (as request, by all in turn).

With --server it speaks to a server as a relay agent in front of the clients.

Ctrl-C ends the measurement and prints the result so far.`,
		Example: `  fairlead load --interface eth1 --rate 2000 --duration 30s --clients 10000
  fairlead load --interface eth1 --mix renew=9,request=1 --prepare 5000 --clients 50000
  fairlead load --server 2001:db8::1 --link-address 2001:db8:1::1 --max-loss 0.5
  fairlead load -4 --interface eth1 --mix discover=1,four-way=1`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options()
			if err != nil {
				return &usageError{err}
			}
			return load.Run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.four, "ipv4", "4", false, "play DHCPv4 clients")
	flags.StringVarP(&f.Interface, "interface", "i", "", "the link that the clients are on")
	flags.BoolVar(&f.direct, "direct", false, "send to all on --interface, as clients do (the default without --server)")
	flags.IntVar(&f.Clients, "clients", 1000, "how many clients")
	flags.Uint32Var(&f.First, "first", 0, "index of the first client")
	flags.StringVar(&f.mix, "mix", "four-way", "kinds of exchanges with weights: kind=weight,...")
	flags.StringVar(&f.ias, "ia", "", "what DHCPv6 clients ask for: na, pd or both; pd if not given")
	flags.BoolVar(&f.Broadcast, "broadcast", false, "DHCPv4 clients without a lease ask for broadcast answers")
	flags.Float64Var(&f.Rate, "rate", 0, "exchanges to begin in a second; 0: use --window")
	flags.IntVar(&f.Window, "window", 64, "exchanges to have under way at a time")
	flags.DurationVar(&f.Duration, "duration", 10*time.Second, "how long to measure; 0: until --count or Ctrl-C")
	flags.Uint64Var(&f.Count, "count", 0, "how many exchanges; 0: until --duration")
	flags.DurationVar(&f.Timeout, "timeout", 250*time.Millisecond, "an answer that takes longer is late")
	flags.IntVar(&f.Prepare, "prepare", 0, "have so many clients get a lease before measuring")
	flags.Uint32Var(&f.Seed, "seed", 0, "number that the transaction-ids are made from; 0: another each time")
	flags.StringVar(&f.server, "server", "", "be a relay agent in front of this server, with no link")
	flags.StringVar(&f.local, "local", "", "with --server, DHCPv6: address to send from")
	flags.StringVar(&f.linkAddress, "link-address", "", "with --server: the link-address of the clients' link; DHCPv4: giaddr, one of this host")
	flags.StringVar(&f.InterfaceID, "interface-id", "", "with --server: an Interface-Id option with this text; DHCPv4: an Agent Circuit ID")
	flags.Float64Var(&f.MaxLoss, "max-loss", -1, "exit with code 1 if more than so many percent are not answered in time; negative: never")
	flags.BoolVar(&f.JSON, "json", false, "print JSON, one object a line")
	return cmd
}

// options reads the text of the flags.
func (f *loadFlags) options() (load.Options, error) {
	o := f.Options
	var err error
	if f.four {
		o.Family = loadgen.DHCPv4
	}
	if o.Mix, err = o.Family.ParseMix(f.mix); err != nil {
		return o, fmt.Errorf("--%w", err)
	}
	ias := f.ias
	if ias == "" && !f.four {
		ias = "pd"
	}
	switch ias {
	case "na":
		o.IAs.NA = true
	case "pd":
		o.IAs.PD = true
	case "both":
		o.IAs = loadgen.IAs{NA: true, PD: true}
	case "":
	default:
		return o, fmt.Errorf("--ia %q: want na, pd or both", ias)
	}
	for _, a := range []struct {
		flag, text string
		into       *netip.Addr
	}{{"server", f.server, &o.Server}, {"local", f.local, &o.Local}, {"link-address", f.linkAddress, &o.LinkAddress}} {
		if a.text == "" {
			continue
		}
		if *a.into, err = netip.ParseAddr(a.text); err != nil {
			return o, fmt.Errorf("--%s %q: is no address", a.flag, a.text)
		}
	}
	if f.direct && o.Server.IsValid() {
		return o, errors.New("--direct and --server: want one of them")
	}
	if o.Seed == 0 {
		o.Seed = uint32(time.Now().UnixNano())
	}
	return o, o.Check()
}

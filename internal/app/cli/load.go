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
		Short: "Play thousands of DHCP clients, and measure how fast they are answered",
		Long: `Play thousands of DHCPv6 clients (with -4: DHCPv4 clients) on an Ethernet link, and
measure how many of their messages are answered, and how fast. Each client has its own
identifier and link-layer address (client n: 02:fa and n in four octets). The addresses
and routes of the interface stay as they are; the addresses and prefixes that servers
grant are not configured anywhere.

With --rate, exchanges begin at that rate, whether answers come or not; latencies then
count from the time at which an exchange should have begun. With --window, that many
exchanges are under way at the same time. A message that is not answered within
--timeout is lost; if the answer comes after that, it is late. Nothing is sent again.

The kinds of --mix: solicit (Solicit, Advertise), request (Request, Reply; by clients
that have no lease), renew, rebind and release (by clients that have one; see --prepare),
information-request, rapid (Solicit with Rapid Commit, Reply), and four-way (Solicit,
Advertise, Request, Reply as one exchange).

With -4: discover (Discover, Offer), request (Discover, Offer, Request, ACK; by clients
that have no lease), renew (Request to the server alone, ACK), rebind (Request to all,
ACK) and inform (Inform, ACK), all three by clients that have a lease, and four-way (as
request, by all clients in turn).

With --server, it plays a relay agent in front of the clients, and speaks to that server.

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
	flags.BoolVar(&f.direct, "direct", false, "send to ff02::1:2 or broadcast on --interface, as clients do (the default without --server)")
	flags.IntVar(&f.Clients, "clients", 1000, "how many clients")
	flags.Uint32Var(&f.First, "first", 0, "index of the first client")
	flags.StringVar(&f.mix, "mix", "four-way", "kinds of exchanges with weights: kind=weight,...")
	flags.StringVar(&f.ias, "ia", "", "what DHCPv6 clients ask for: na, pd or both (default pd)")
	flags.BoolVar(&f.Broadcast, "broadcast", false, "DHCPv4 clients without a lease ask for broadcast answers")
	flags.Float64Var(&f.Rate, "rate", 0, "exchanges to begin in a second; 0: use --window")
	flags.IntVar(&f.Window, "window", 64, "number of exchanges under way at the same time")
	flags.DurationVar(&f.Duration, "duration", 10*time.Second, "how long to measure; 0: until --count or Ctrl-C")
	flags.Uint64Var(&f.Count, "count", 0, "how many exchanges; 0: until --duration")
	flags.DurationVar(&f.Timeout, "timeout", 250*time.Millisecond, "an answer that takes longer is late")
	flags.IntVar(&f.Prepare, "prepare", 0, "number of clients that get a lease before measuring")
	flags.Uint32Var(&f.Seed, "seed", 0, "number that the transaction-ids are made from; 0: another one in each run")
	flags.StringVar(&f.server, "server", "", "play a relay agent, and send to this server instead of a link")
	flags.StringVar(&f.local, "local", "", "with --server, DHCPv6: address to send from")
	flags.StringVar(&f.linkAddress, "link-address", "", "with --server: the link-address of the clients' link; DHCPv4: giaddr, one of this host")
	flags.StringVar(&f.InterfaceID, "interface-id", "", "with --server: an Interface-Id option with this text; DHCPv4: an Agent Circuit ID")
	flags.Float64Var(&f.MaxLoss, "max-loss", -1, "exit with code 1 if more than this percentage is not answered in time; negative: never")
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

package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

func reserveCommand() *cobra.Command {
	var a ask
	var r api.ReserveRequest
	var ids struct{ duid, relayID, interfaceID, remoteID, subnet string }
	cmd := &cobra.Command{
		Use:   "reserve [ADDRESS|PREFIX]...",
		Short: "Reserve addresses and prefixes of the DHCPv6 server for one client",
		Long: `Reserve addresses and prefixes for the client that has all identifiers that are named: its
DUID, its link-layer address, the remote-id of its relay agent, or the interface-id of a
relay agent with a relay-id. The checks are those of the configuration file, which comes
first. The reservation is kept, and holds until "reserve --end" with the same identifiers.
A client that has something else keeps it until it next renews its leases.`,
		Example: `  fairlead reserve 2001:db8:1::5 2001:db8:4000:300::/56 --duid 00:03:00:01:02:00:5e:10:00:01
  fairlead reserve 2001:db8:4000:400::/56 --relay-id 00:03:00:01:02:00:5e:10:00:09 --interface-id eth0/7
  fairlead reserve --end --subnet 2001:db8:1::/64 --duid 00:03:00:01:02:00:5e:10:00:01`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			for _, text := range args {
				if address, err := netip.ParseAddr(text); err == nil {
					r.Addresses = append(r.Addresses, address)
				} else if prefix, err := netip.ParsePrefix(text); err == nil {
					r.Prefixes = append(r.Prefixes, prefix)
				} else {
					return usagef("%q is neither an address nor a prefix", text)
				}
			}
			if ids.subnet != "" {
				if r.Subnet, err = netip.ParsePrefix(ids.subnet); err != nil {
					return usagef("--subnet: %q is no prefix, such as 2001:db8:1::/64", ids.subnet)
				}
			}
			for flag, id := range map[string]struct {
				text string
				to   *api.Identifier
			}{"duid": {ids.duid, &r.DUID}, "relay-id": {ids.relayID, &r.RelayID}} {
				if id.text != "" {
					if *id.to, err = api.ParseIdentifier(id.text); err != nil {
						return usagef("--%s: %v", flag, err)
					}
				}
			}
			if ids.interfaceID != "" {
				if r.InterfaceID, err = octetsOrText(ids.interfaceID); err != nil {
					return usagef("--interface-id: %v", err)
				}
			}
			if ids.remoteID != "" {
				if r.RemoteID, err = remoteIDOf(ids.remoteID); err != nil {
					return err
				}
			}
			if err := r.Check(); err != nil {
				return usagef("%v", err)
			}
			do := func(ctx context.Context, c *api.Client) (api.ReservationAtRunTime, error) { return c.Reserve(ctx, r) }
			return change(cmd, &a, do, func(out io.Writer, one api.ReservationAtRunTime) error {
				word := "reserved"
				if r.End {
					word = "not reserved any more"
				}
				_, err := fmt.Fprintf(out, "%s: %s\n", word, reservedText(&one))
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&ids.duid, "duid", "", "the client's DUID, in hexadecimal")
	f.StringVar(&r.LinkLayer, "link-layer-address", "", "the client's link-layer address")
	f.StringVar(&ids.remoteID, "remote-id", "", "the remote-id that the relay agent gives the client: ENTERPRISE:ID; the ID is a text, or 0x and hexadecimal")
	f.StringVar(&ids.relayID, "relay-id", "", "the identity (a DUID) of the client's relay agent, in hexadecimal; with --interface-id")
	f.StringVar(&ids.interfaceID, "interface-id", "", "the interface-id that the relay agent gives the client: a text, or 0x and hexadecimal")
	f.StringVar(&ids.subnet, "subnet", "", "the subnet of the client; without it, the one of the first address or prefix")
	f.BoolVar(&r.End, "end", false, "end the reservation of this client in this subnet")
	a.flags(cmd)
	return cmd
}

// octetsOrText reads what the configuration file has as octets: a text, or 0x and hexadecimal.
func octetsOrText(text string) (api.Identifier, error) {
	if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
		return api.ParseIdentifier(digits)
	}
	return api.Identifier(text), nil
}

// remoteIDOf reads ENTERPRISE:ID.
func remoteIDOf(text string) (*api.RemoteID, error) {
	number, id, _ := strings.Cut(text, ":")
	enterprise, err := strconv.ParseUint(number, 10, 32)
	if err != nil || id == "" {
		return nil, usagef("--remote-id: %q is not an enterprise number, a colon and an identifier, such as 32473:house-7", text)
	}
	octets, err := octetsOrText(id)
	if err != nil {
		return nil, usagef("--remote-id: %v", err)
	}
	return &api.RemoteID{Enterprise: uint32(enterprise), ID: octets}, nil
}

// reservedText is what is reserved, and for whom.
func reservedText(r *api.ReservationAtRunTime) string {
	return leasesText(&r.Reservation) + " for " + reservationText(&r.Reservation)
}

func leasesText(r *api.Reservation) string {
	var texts []string
	for _, a := range r.Addresses {
		texts = append(texts, a.String())
	}
	for _, p := range r.Prefixes {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, " ")
}

func writeReservations(out io.Writer, all []api.ReservationAtRunTime) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "nothing was reserved at run time")
		return err
	}
	g := newGrid("subnet", "client", "reserved", "made", "by", "holds")
	for i := range all {
		x := &all[i]
		holds := "yes"
		if x.Refused != "" {
			holds = "no: " + x.Refused
		}
		g.row(x.Subnet, reservationText(&x.Reservation), leasesText(&x.Reservation), clockTime(x.Made), x.By, holds)
	}
	return g.write(out)
}

package traffic_test

import (
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// sendsFrom has a client send from a prefix until a packet has passed.
func (r *network) sendsFrom(number int, p netip.Prefix) {
	r.T.Helper()
	in, x := r.Server.Listen(), r.throw(number)
	r.Until("a packet from "+p.String()+" passes", func() bool {
		x.Send(p.Addr().Next().String(), lab.ServerAddress.String(), "from the holder")
		return slices.Contains(in.Got(), "from the holder")
	})
}

// RFC 8987 R-1: a client releases its prefix while the relay is down, and the server
// gives it to another client of the link. The first one is there still and answers; the
// prefix is routed to it only while it uses that.
func TestReleasedWhileTheRelayWasDown(t *testing.T) {
	for name, uses := range map[string]bool{"silent": false, "uses it": true} {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 2, Access: lab.Switch})
			p := pfx("2001:db8:1100::/56")
			first, _ := r.delegate(1, p)
			r.WantRoute(p, 1)
			r.Fairlead.Stop()
			release := first.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(1, rig.Long(p)))
			first.Send(release)
			r.Fairlead.Start()
			routed := 2
			if uses {
				r.sendsFrom(1, p)
				routed = 1
			}
			r.grant(2, rig.Long(p))
			r.client(2).Obtain(2)
			r.WantRoute(p, routed)
			if n := len(r.Played.Heard(release)); n != 0 {
				t.Errorf("the server heard the Release %d times: the test shows nothing", n)
			}
		})
	}
}

// RFC 8987 R-1: the server answers a Renew with NoBinding, gives the client another
// prefix, and the first one to another client. That is routed to whom the server gave it
// last, although the first client still sends from it.
func TestNoBindingAndGivenToAnother(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2, Access: lab.Switch})
	p, instead := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	first, reply := r.delegate(1, p)
	r.Played.Become(func(q script.Request) [][]byte {
		b := dhcp6.AppendMessageHeader(nil, dhcp6.Reply, q.Message.TransactionID())
		client, _ := q.Message.ClientID()
		b = dhcp6.AppendServerID(dhcp6.AppendClientID(b, client), script.DefaultServerDUID)
		b, mark := dhcp6.BeginIA(b, dhcp6.OptionIAPD, 1, 0, 0)
		b = dhcp6.AppendStatus(b, dhcp6.Status{Code: dhcp6.StatusNoBinding})
		b, err := dhcp6.EndOption(b, mark)
		if err != nil {
			return nil
		}
		return [][]byte{q.Wrap(b)}
	})
	first.Renew(reply)
	r.WantRoute(p, 1) // it ends nothing
	r.Played.Become(r.said.answers().Answer)
	r.grant(1, rig.Long(instead))
	first.Obtain(1)
	r.WantRoute(instead, 1)
	r.sendsFrom(1, p)
	r.grant(2, rig.Long(p))
	r.client(2).Obtain(2)
	r.WantRoute(p, 2)
	r.WantRoute(instead, 1)
}

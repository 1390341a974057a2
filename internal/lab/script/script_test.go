package script_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

const patience = 20 * time.Second

var need = labtest.Need

// link joins a client and a server with a cable.
func link(t *testing.T, answer script.Answer) (*script.Client, *script.Server) {
	t.Helper()
	a, b := labtest.Pair(t, "a", "c0", "b", "s0")
	server, err := script.StartServer(b, netip.IPv6Unspecified(), answer)
	need(t, err)
	need(t, server.Join("s0", dhcp6.AllRelayAgentsAndServers))
	client, err := script.StartClient(a, script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}})
	need(t, err)
	return client, server
}

func prefix(text string, preferred, valid dhcp6.Lifetime) dhcp6.IAPrefix {
	return dhcp6.IAPrefix{Prefix: netip.MustParsePrefix(text), Preferred: preferred, Valid: valid}
}

func TestSeveralPrefixesInSeveralIAs(t *testing.T) {
	one := prefix("2001:db8:1100::/56", 20, 30)
	two := prefix("2001:db8:1101::/48", 0, 0)
	client, _ := link(t, script.Grants{
		T1: 10, T2: 16,
		Prefixes: func(_ script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
			switch ia.IAID {
			case 7:
				return []dhcp6.IAPrefix{one, two}
			case 8:
				return []dhcp6.IAPrefix{prefix("::/0", 1, dhcp6.Infinity)}
			}
			return nil
		},
	}.Answer)
	reply, err := client.Obtain(patience, 7, 8, 9)
	need(t, err)
	if reply.Type() != dhcp6.Reply {
		t.Fatalf("got a %v, want a Reply", reply.Type())
	}
	type grant struct {
		IAID      uint32
		Prefix    string
		Preferred dhcp6.Lifetime
		Valid     dhcp6.Lifetime
	}
	var got []grant
	for _, d := range script.Delegations(reply) {
		got = append(got, grant{d.IAID, d.Prefix.String(), d.Preferred, d.Valid})
	}
	want := []grant{
		{7, "2001:db8:1100::/56", 20, 30},
		{7, "2001:db8:1101::/48", 0, 0},
		{8, "::/0", 1, 0xffffffff},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delegations (-want +got):\n%s", diff)
	}
	if n := reply.Options().Count(dhcp6.OptionIAPD); n != 3 {
		t.Errorf("%d IA_PDs in the Reply, want 3: the empty one has a status", n)
	}
}

func TestScriptChangesWhileRunning(t *testing.T) {
	client, server := link(t, nil)
	message := client.Message(dhcp6.MessageType(99), script.IAPD(1))
	need(t, client.Send(message))
	got, err := server.Wait(patience, "the unknown message", func(r script.Request) bool {
		return r.Message.Type() == 99
	})
	need(t, err)
	if diff := cmp.Diff(message, got.Data); diff != "" {
		t.Errorf("octets changed (-sent +received):\n%s", diff)
	}
	server.Become(func(script.Request) [][]byte { return [][]byte{{98, 1, 2, 3}} })
	need(t, client.Send(message))
	back, err := client.Receive(patience)
	need(t, err)
	if diff := cmp.Diff([]byte{98, 1, 2, 3}, back.Data); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	server.Become(script.Grants{Prefixes: script.Always(prefix("2001:db8:1100::/56", 20, 30))}.Answer)
	reply, err := client.Obtain(patience, 1)
	need(t, err)
	if _, err := client.Release(patience, reply); err != nil {
		t.Error(err)
	}
	if _, err := server.Wait(patience, "a Release", func(r script.Request) bool {
		return r.Message.Type() == dhcp6.Release && len(r.Relays) == 0
	}); err != nil {
		t.Error(err)
	}
	need(t, server.Close())
	if len(server.Received()) < 5 {
		t.Errorf("%d messages kept, want at least 5", len(server.Received()))
	}
}

func TestWrapGoesBackThroughAllRelays(t *testing.T) {
	message := []byte{1, 0, 0, 7}
	inner := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, netip.IPv6Unspecified(), netip.MustParseAddr("fe80::1"))
	inner = dhcp6.AppendInterfaceID(inner, []byte("port7"))
	inner = dhcp6.AppendOption(inner, dhcp6.OptionRelayMessage, message)
	outer := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 1, netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("fe80::2"))
	outer = dhcp6.AppendRelayPort(outer, 5470)
	outer = dhcp6.AppendOption(outer, dhcp6.OptionRelayMessage, inner)

	r, err := script.Parse(script.Packet{Data: outer})
	need(t, err)
	if diff := cmp.Diff(message, r.Inner); diff != "" {
		t.Errorf("inner (-want +got):\n%s", diff)
	}
	// A Relay-reply differs from the Relay-forward in the type only.
	want := append([]byte(nil), outer...)
	want[0] = 13
	want[34+4+2+4] = 13
	if diff := cmp.Diff(want, r.Wrap(message)); diff != "" {
		t.Errorf("wrapped (-want +got):\n%s", diff)
	}
}

func TestSilenceIsReported(t *testing.T) {
	client, _ := link(t, nil)
	if _, err := client.Exchange(1500*time.Millisecond, client.Message(dhcp6.Solicit)); err == nil {
		t.Error("an answer, want none")
	}
	if _, err := client.Receive(time.Millisecond); err == nil {
		t.Error("a datagram, want none")
	}
}

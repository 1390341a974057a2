package trouble_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// A server that stops is told to the operator by the log and by status, with what
// the network says of it, as soon as a client that holds its lease waits for ten
// seconds; so is its return. RFC 8987 O-1 asks for nothing of this: it is what an
// operator looks for first.
func TestServerStopsAndStarts(t *testing.T) {
	r := build(t, plan{clients: 1})
	r.Played.Close()
	kea := r.Kea()
	r.Fairlead.Start()
	c := r.Play(1, rig.DUID(1))
	reply := r.obtain(c, 1)

	var shown struct {
		Peers []struct {
			Name        string
			SilentSince string `json:"silent_since"`
		}
		Degraded []string
	}
	says := func(begins string) bool {
		r.Fairlead.Ask("/v1/status", &shown)
		return slices.ContainsFunc(shown.Degraded, func(line string) bool { return strings.HasPrefix(line, begins) })
	}
	r.Need(kea.Stop())
	renew := c.Message(dhcp6.Renew, renewal(reply)...)
	name := "peer server: "
	r.Until("status calls the server silent", func() bool {
		c.Send(renew)
		return says(name + "silent since ")
	})
	if shown.Peers[0].SilentSince == "" {
		t.Errorf("the peer has no time since when it is silent: %+v", shown.Peers)
	}
	if !says(name + "cannot be reached: port unreachable (ICMPv6 type 1, code 4, from ") {
		t.Errorf("status does not say what the server's host says: %q", shown.Degraded)
	}
	client := r.Client(1).LinkLocal("c0")
	if !says("client " + client.String() + " on d1: no answer from peer server to ") {
		t.Errorf("status does not name the client that waits: %q", shown.Degraded)
	}
	r.Fairlead.Logged("level=WARN", `msg="server is silent"`, "peer=server")
	r.Fairlead.Logged("level=WARN", `msg="peer cannot be reached"`, "peer=server", "port unreachable")
	if out := r.Fairlead.CLI("status"); !strings.Contains(out, "SILENT since ") {
		t.Errorf("status does not say it in words:\n%s", out)
	}

	r.Kea()
	c.Exchange(renew)
	r.Fairlead.Logged("level=INFO", `msg="peer answers again"`, "peer=server")
	if says("peer ") || says("client ") {
		t.Errorf("status after the server is back: %q", shown.Degraded)
	}
}

// renewal is what a client says of its lease when it renews it.
func renewal(reply dhcp6.Message) (options [][]byte) {
	if server, ok := reply.ServerID(); ok {
		options = append(options, dhcp6.AppendServerID(nil, server))
	}
	for code, payload := range reply.Options().All() {
		if code == dhcp6.OptionIAPD {
			options = append(options, dhcp6.AppendOption(nil, code, payload))
		}
	}
	return options
}

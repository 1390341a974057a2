package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/relay"
)

// protect puts both hops under IPsec.
func (c *chain) protect() error {
	c.say("strongSwan runs on all three hosts, and holds nothing yet. relaya and relayb share a key, relayb and the server have certificates. " +
		"Beside Kea, which stays as it is, \"fairlead guard\" looks after the server's end of the hop:")
	if err := c.configure(); err != nil {
		return err
	}
	if _, err := c.here(30, "cat", c.guard.File); err != nil {
		return err
	}
	c.say("On relaya the stanza of relayb now reads:")
	c.quoteStanza(c.a.File, "relayb")
	if err := c.record(); err != nil {
		return err
	}
	started := time.Now()
	for _, r := range c.programs() {
		if err := r.Launch(); err != nil {
			return err
		}
	}
	c.say("All three start at once.")
	prefix, err := c.obtain()
	if c.check(err, "the client asks, and %s after the start it has %s: the subscriber-id was in the message, or Kea would have had nothing for it",
		seconds(time.Since(started)), prefix) != nil {
		return err
	}
	if err := c.hears(c.protected); c.check(err, "both relays and the guard say that their hops are protected") != nil {
		return err
	}
	c.say("What tcpdump sees on the two cables, since before the start:")
	for _, w := range c.wires {
		if err := c.show(w, 4, "ESP("); err != nil {
			return err
		}
		esp, err := w.onlyESP()
		_ = c.check(errors.Join(err, expect(esp >= 4, "%d packets are ESP", esp)),
			"between %s: %d packets in ESP, the negotiation of its keys, and not a single other packet", w.name, esp)
		_ = c.check(errors.Join(w.hides(subscriber), w.hides(portOf)), "nothing can be read there, %q included", subscriber)
	}
	return c.filter()
}

// configure starts strongSwan and writes the configurations of all ends.
func (c *chain) configure() error {
	if c.a == nil || c.b == nil {
		return errors.New("a relay could not be prepared, see above")
	}
	for i, d := range c.hosts() {
		var err error
		if c.charons[i], err = ike.Start(d, ike.Config{}); err != nil {
			return err
		}
	}
	lower, err := c.preshared()
	if err != nil {
		return err
	}
	upper, err := c.certified()
	if err != nil {
		return err
	}
	for _, r := range []*relay.Relay{c.a, c.b} {
		if err := r.Stop(); err != nil {
			return err
		}
	}
	peers := fmt.Sprintf("peers:\n  - name: relayb\n    address: %s\n    local: %s\n    role: relay\n%s", addressAbove, addressServer, upper[1])
	c.guard, err = relay.New(c.server, relay.Config{Binary: c.binary, Name: "guard", Guard: true, Text: peers + viaCharon(c.charons[2])})
	return errors.Join(err,
		c.a.Write(configurationA(lower)+viaCharon(c.charons[0])),
		c.b.Write(configurationB(lower, upper[0])+viaCharon(c.charons[1])))
}

// hosts returns the hosts with strongSwan.
func (c *chain) hosts() []*lab.Node { return []*lab.Node{c.relaya, c.relayb, c.server} }

// programs returns the programs that keep the hops protected.
func (c *chain) programs() []*relay.Relay { return []*relay.Relay{c.a, c.b, c.guard} }

// quoteStanza shows what a configuration says of a peer.
func (c *chain) quoteStanza(file, name string) {
	out, err := c.relaya.Run("cat", file)
	if err != nil {
		return
	}
	_, stanza, _ := strings.Cut(out, "  - name: "+name+"\n")
	for line := range strings.Lines(stanza) {
		if !strings.HasPrefix(line, "    ") {
			break
		}
		c.write("     %s", line)
	}
}

// filter shows the rules that stop a message outside ESP.
func (c *chain) filter() error {
	c.say("Without IPsec nothing would leave or be taken in. Filters of Fairlead's own see to that on all three hosts, whatever becomes of strongSwan; " +
		"messages to and from peers end here, and what is in ESP is accepted before:")
	for _, way := range []struct{ chain, first string }{{"outbound", "rt ipsec exists accept"}, {"inbound", "meta ipsec exists accept"}} {
		out, err := c.in(c.relayb, "nft", "list", "chain", "inet", "fairlead-relay-guard", way.chain)
		if err != nil {
			return err
		}
		rules := strings.Split(out, "\n")
		err = expect(len(rules) > 3 && strings.TrimSpace(rules[2]) == way.first && strings.HasSuffix(rules[3], " drop"), "it does not begin with %q", way.first)
		_ = c.check(err, "nft has the chain %s: %q, and then drops", way.chain, way.first)
	}
	return nil
}

// hopsOf returns the hops of one of the three programs, as the program reports them.
func (c *chain) hopsOf(r *relay.Relay) (all []api.Hop, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, ample)
	defer cancel()
	if r == c.guard {
		status, err := api.NewGuardClient(r.Socket).GuardStatus(ctx)
		for i := range status.Peers {
			all = append(all, status.Peers[i].Hops...)
		}
		return all, err
	}
	peers, err := api.NewClient(r.Socket).Peers(ctx)
	for i := range peers {
		all = append(all, peers[i].Hops...)
	}
	return all, err
}

// protected reports whether all programs report all their hops as protected.
func (c *chain) protected() bool {
	for _, r := range c.programs() {
		all, err := c.hopsOf(r)
		if err != nil || len(all) == 0 || slices.ContainsFunc(all, func(h api.Hop) bool { return !h.Protected }) {
			return false
		}
	}
	return true
}

// hears waits until the programs report something.
func (c *chain) hears(what func() bool) error {
	return until(c.ctx, pace, ample, "they say so", what)
}

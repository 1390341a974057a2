package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
)

// portOf is what the relay next to the client says about the port. It is not sensitive.
const portOf = "port-d1"

// configurationA returns the configuration of relaya: one peer, and the customer's link.
func configurationA(protection string) string {
	return fmt.Sprintf(`peers:
  - name: relayb
    address: %s
    local: %s
    role: server
    interfaces: [u0]
%srelay6:
  links:
    - match: d1
      subscriber-id: %s
      remote-id: {enterprise: %d, id: %q}
`, addressBelow, addressA, protection, subscriber, enterprise, "port-{interface}")
}

// configurationB returns the configuration of relayb: one peer on each side.
func configurationB(below, above string) string {
	return fmt.Sprintf(`peers:
  - name: server
    address: %s
    local: %s
    role: server
    interfaces: [u0]
%s  - name: relaya
    address: %s
    local: %s
    role: relay
    interfaces: [x0]
%srelay6: {}
`, addressServer, addressAbove, above, addressA, addressBelow, below)
}

// unprotected is the part of a stanza by which messages travel in clear.
const unprotected = "    protection: none\n"

// naive shows what a relay that knows nothing of protection reveals to everybody.
func (c *chain) naive() (err error) {
	c.say("On relaya runs ISC dhcrelay, told who the customer is; relayb takes its messages in clear, and passes them on in clear:")
	if c.b, err = relay.Start(c.relayb, relay.Config{Binary: c.binary, Text: configurationB(unprotected, unprotected)}); err != nil {
		return err
	}
	c.built = true
	if err := c.record(); err != nil {
		return err
	}
	isc, err := c.startDhcrelay()
	if isc != nil {
		defer func() { err = errors.Join(err, isc.Kill()) }()
	}
	if err != nil {
		return err
	}
	prefix, err := c.obtain()
	_ = c.check(err, "the client asks, and Kea gives it %s", prefix)
	c.say("Whoever has a tap on either cable reads who it was:")
	for _, w := range c.wires {
		if err := c.show(w, 1, subscriber, "-A"); err != nil {
			return err
		}
		_ = c.check(w.says(subscriber), "%q can be read between %s", subscriber, w.name)
	}
	return nil
}

// discreet shows what Fairlead leaves out in messages to a peer that is not protected.
func (c *chain) discreet() (err error) {
	c.say("Now Fairlead runs on relaya. It is told the same of the customer, and that its hop has no protection:")
	if c.a, err = relay.New(c.relaya, relay.Config{Binary: c.binary, Text: configurationA(unprotected)}); err != nil {
		return err
	}
	if _, err := c.here(30, "cat", c.a.File); err != nil {
		return err
	}
	if err := c.record(); err != nil {
		return err
	}
	if err := c.a.Start(); err != nil {
		return err
	}
	reply, err := c.asker.Exchange(ample, c.solicit())
	if err == nil {
		err = expect(len(script.Delegations(reply)) == 0, "Kea offers %v", script.Delegations(reply))
	}
	_ = c.check(err, "the client asks, and Kea, which is not told who it is, has nothing for it")
	for _, w := range c.wires {
		_ = c.check(w.hides(subscriber), "%q is nowhere between %s", subscriber, w.name)
		_ = c.check(w.says(portOf), "what is no secret can be read as before: %q", portOf)
	}
	c.say("Fairlead counts what it kept to itself:")
	_, err = c.inBriefly(c.relaya, "sensitive", c.cli(c.a.Socket, "links", "d1")...)
	return err
}

// obtain makes the client ask for a prefix and accept it.
func (c *chain) obtain() (netip.Prefix, error) {
	reply, err := c.asker.Obtain(ample, 1)
	if err != nil {
		return netip.Prefix{}, err
	}
	got := script.Delegations(reply)
	if len(got) != 1 || !chainPool.Contains(got[0].Prefix.Addr()) {
		return netip.Prefix{}, fmt.Errorf("it was given %v", got)
	}
	return got[0].Prefix, nil
}

// seconds returns a time as the story writes it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

package main

import (
	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
)

// onOwnLink makes a home ask on a link of the server's own machine.
func (t *tour) onOwnLink() error {
	t.say("home3 is on the link d3 of the server's machine: there is no relay between them. The server's configuration says that this machine "+
		"routes for the clients there (router: true). dhcpcd starts in %s:", t.home3.node.Name)
	if err := t.ask(&t.home3, peer.Dhcpcd); err != nil {
		return err
	}
	if err := t.receives(&t.home3, lab.Delegable(3)); err != nil {
		return err
	}
	t.say("The prefix was routed before the Reply left, as behind the relay. home1's and home2's are routed by the edge, where they are:")
	out, err := t.in(t.server, "ip", "-6", "route", "show", "proto", "87")
	if err != nil {
		return err
	}
	_ = t.check(t.home3.routedIn(out), "%s goes to home3, by its link-local address on d3", t.home3.prefix)
	_ = t.check(expect(countLines(out) == 1, "there are %d", countLines(out)), "there is no other route of Fairlead's on this machine")
	_ = t.check(t.ping(t.home1.node, t.home1.inside, t.home3.inside), "home1 reaches home3, prefix to prefix")

	t.say("And the filter knows it: home3 sends from an address that was never given to it.")
	before, err := counter(t.server, "spoofed")
	if err != nil {
		return err
	}
	if err := t.sendFrom(t.home3.node, foreign, t.home1.inside); err != nil {
		return err
	}
	_ = t.rises(t.server, "spoofed", before, pings)
	return nil
}

// crashOwn kills the server and starts it again.
func (t *tour) crashOwn() error {
	before, err := kernel(t.server)
	if err != nil {
		return err
	}
	t.say("The server keeps each lease on the disk before it tells the client. Now it dies:")
	if err := t.kill(t.own); err != nil {
		return err
	}
	if err := t.routed("the route to %s is there without it", &t.home3); err != nil {
		return err
	}
	_ = t.check(t.ping(t.home1.node, t.home1.inside, t.home3.inside), "packets go on")

	t.say("The kernel loses what it had for home3:")
	if err := t.damage(&t.home3, "source-link"); err != nil {
		_ = t.check(err, "it can be done")
	}
	err = t.ping(t.home3.node, t.home3.inside, t.home1.inside)
	_ = t.check(expect(err != nil, "they are answered"), "now home3's packets are lost")

	t.say("The server comes back, with its folder of state and nothing else:")
	if err := t.comeBack(t.own); err != nil {
		return err
	}
	if err := t.routed("the route to %s is there before the first message", &t.home3); err != nil {
		return err
	}
	t.mended(t.server, before)
	_ = t.check(t.ping(t.home3.node, t.home3.inside, t.home1.inside), "home3 reaches home1 again")
	t.say("home3 renews, and home1 behind the relay:")
	for _, h := range []*home{&t.home3, &t.home1} {
		if err := t.renews(h); err != nil {
			return err
		}
	}
	return nil
}

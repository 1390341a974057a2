package main

import (
	"errors"
	"fmt"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// solicit returns a message by which the client asks for a prefix.
func (c *chain) solicit() []byte { return c.asker.Message(dhcp6.Solicit, script.IAPD(1)) }

// deleted deletes the SAs of relayb, and waits until they are back.
func (c *chain) deleted() error {
	if err := c.record(); err != nil {
		return err
	}
	c.say("The client asks again and again, and an administrator of relayb makes a mistake:")
	busy := c.busy()
	defer busy.stop()
	cut := time.Now()
	if _, err := c.in(c.relayb, "ip", "xfrm", "state", "deleteall"); err != nil {
		return err
	}
	var problem string
	err := c.hears(func() bool {
		problem = c.problemOf(c.b.Socket)
		return problem != ""
	})
	if c.check(err, "relayb notices after %s, and says: %s", seconds(time.Since(cut)), problem) != nil {
		return err
	}
	err = c.hears(c.protected)
	if c.check(err, "%s after the cut all hops are protected again, and nobody had to do anything", seconds(time.Since(cut))) != nil {
		return err
	}
	busy.stop()
	prefix, err := c.obtain()
	_ = c.check(err, "the client asks, and Kea gives it %s", prefix)
	c.nothingInClear()
	return nil
}

// killed kills strongSwan on relayb, deletes the SAs, and starts strongSwan again.
func (c *chain) killed() error {
	if err := c.record(); err != nil {
		return err
	}
	c.say("strongSwan dies on relayb, and its security associations are gone as well:")
	at := c.charons[1]
	pid := fmt.Sprint(at.Proc().Pid())
	cut := time.Now()
	if err := at.Kill(); err != nil {
		return err
	}
	c.command(commandLine([]string{"kill", "-9", pid}), "", 0)
	if _, err := c.in(c.relayb, "ip", "xfrm", "state", "deleteall"); err != nil {
		return err
	}
	err := c.hears(func() bool { return c.problemOf(c.b.Socket) != "" })
	_ = c.check(err, "relayb notices after %s", seconds(time.Since(cut)))
	if _, err := c.here(10, c.cli(c.b.Socket, "peers")...); err != nil {
		return err
	}
	busy := c.busy()
	defer busy.stop()
	err = until(c.ctx, pace, ample, "the client has asked several times", func() bool {
		asked, _ := busy.count()
		return asked >= asks
	})
	if err != nil {
		return err
	}
	busy.stop()
	asked, answered := busy.count()
	_ = c.check(expect(answered == 0, "%d were answered", answered), "the client asks %d times, and no answer comes: the traffic has stopped", asked)
	c.nothingInClear()

	c.say("strongSwan is started again, as empty as it was at the beginning:")
	back := time.Now()
	if err := at.Start(); err != nil {
		return err
	}
	prefix, err := c.obtain()
	if c.check(err, "%s later the client has asked, and Kea has given it %s", seconds(time.Since(back)), prefix) != nil {
		return err
	}
	_ = c.check(c.hears(c.protected), "all hops are protected again")
	c.nothingInClear()
	return nil
}

// asks is how often the client asks without an answer.
const asks = 6

// problemOf returns the first problem of a hop that a relay reports.
func (c *chain) problemOf(socket string) string {
	peers, err := api.NewClient(socket).Peers(c.ctx)
	if err != nil {
		return ""
	}
	for i := range peers {
		for _, h := range peers[i].Hops {
			if !h.Protected {
				return h.Problem
			}
		}
	}
	return ""
}

// nothingInClear checks everything that has passed both cables since the recording began.
func (c *chain) nothingInClear() {
	for _, w := range c.wires {
		esp, err := w.onlyESP()
		_ = c.check(errors.Join(err, w.hides(subscriber)), "between %s not one packet was in clear (%d in ESP)", w.name, esp)
	}
}

// overview shows Fairlead's own tables.
func (c *chain) overview() error {
	c.say("What Fairlead says of it itself:")
	_, err := c.here(20, c.cli(c.b.Socket, "ipsec", "status")...)
	_ = c.check(err, "`fairlead ipsec status` answers")
	_, err = c.here(20, c.cli(c.guard.Socket, "guard", "status")...)
	_ = c.check(err, "`fairlead guard status` answers")
	return nil
}

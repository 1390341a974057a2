package privacy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// clear ends the recording, and counts the packets between the relay and the second server that
// were neither ESP nor IKE.
func (r *network) clear(record *rig.Capture) int {
	r.T.Helper()
	record.Stop()
	rows := record.Fields("ipv6.addr == "+lab.ExtraServerAddress(2).String()+" && !esp && !isakmp", "frame.number")
	return len(rows)
}

// shown is the part of status and peers that the test reads.
type shown struct {
	Degraded  []string
	Name      string
	Protected bool
	Hops      []struct {
		Problem   string
		DroppedIn struct{ Packets int } `json:"dropped_in"`
	}
}

// why returns what the relay says about the second server: in status, and in peers.
func (r *network) why() (degraded string, peer shown) {
	r.T.Helper()
	var s shown
	r.Fairlead.Ask("/v1/status", &s)
	var all []shown
	r.Fairlead.Show(&all, "peers")
	for _, p := range all {
		if p.Name == "another" {
			return strings.Join(s.Degraded, "\n"), p
		}
	}
	r.T.Fatalf("peers does not show it: %+v", all)
	return "", peer
}

// keyings are the two ways to make keys. Neither of them succeeds here: there is no strongSwan,
// and the kernel may have no ESP; the server has none in any case.
func (r *network) keyings() map[string][2]string {
	r.T.Helper()
	top, ike := r.ike()
	keys := "encryption 0x%064x\nintegrity 0x%064x\n"
	manual := fmt.Sprintf("protection: ipsec, manual: {algorithm: aes256-sha256, out: {spi: 0x1007, key-file: %s}, in: {spi: 0x2007, key-file: %s}}",
		r.secret("out.keys", fmt.Sprintf(keys, 0x1234567, 0x2345678)), r.secret("in.keys", fmt.Sprintf(keys, 0x3456789, 0x456789a)))
	return map[string][2]string{"ike": {top, ike}, "manual": {top, manual}}
}

// TestNothingInClear shows that if nothing can protect the second server, not one packet goes to
// it. status says why; the log says so once, and not with each message; and the first server's
// clients are served.
func TestNothingInClear(t *testing.T) {
	for _, keying := range []string{"ike", "manual"} {
		t.Run(keying, func(t *testing.T) {
			r := build(t, 1, 2)
			record := r.uplink()
			k := r.keyings()[keying]
			began := time.Now()
			r.start(r.config(k[0], r.second(k[1])))
			c := r.Play(1, somebody(1).duid())
			c.Obtain(1)
			for range 200 {
				c.Passed()
			}
			if keying == "ike" {
				r.Until("status says why", func() bool {
					degraded, p := r.why()
					return strings.Contains(degraded, "peer another: not protected, nothing passes: ") && strings.Contains(degraded, "strongSwan") &&
						!p.Protected && len(p.Hops) == 1 && p.Hops[0].Problem != ""
				})
			}
			// To flood a log, it takes more than one look at strongSwan.
			r.Until("a while has passed", func() bool {
				c.Passed()
				return time.Since(began) > 8*time.Second
			})
			if got := len(r.another.Received()); got != 0 {
				t.Errorf("the server under IPsec has %d messages", got)
			}
			if got := r.clear(record); got != 0 {
				t.Errorf("%d packets in clear, want none", got)
			}
			lines := 0
			for line := range strings.Lines(r.Fairlead.Log()) {
				if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
					lines++
				}
			}
			if most := 10 + int(10*time.Since(began).Minutes()); lines == 0 || lines > most {
				t.Errorf("%d warnings after %v, want some and at most %d:\n%s", lines, time.Since(began), most, r.Fairlead.Log())
			}
		})
	}
}

// TestClearAnswersAreNotTaken shows that what the second server sends in clear is not believed,
// and is counted, as long as the server is to be protected. After a reload that allows it to
// speak in clear, the same octets are believed.
func TestClearAnswersAreNotTaken(t *testing.T) {
	for _, keying := range []string{"ike", "manual"} {
		t.Run(keying, func(t *testing.T) {
			r := build(t, 1, 2)
			k := r.keyings()[keying]
			r.start(r.config(k[0], r.second(k[1])))
			c := r.Play(1, somebody(1).duid())
			c.Obtain(1)
			asked := r.Played.Received()[0]
			p := dhcp6.IAPrefix{Prefix: prefixOf(1, 7), Preferred: 2000, Valid: 3000}
			reply := script.Grants{T1: 1000, T2: 1600, Prefixes: script.Always(p)}
			var err error
			asked.Message, err = dhcp6.ParseMessage(c.Message(dhcp6.Request, script.IAPD(7)))
			r.Need(err)
			answer := reply.Answer(asked)[0]
			to := rig.ToRelay
			routed := func() bool {
				out := r.Relay.IP("-N -6 route show table all proto 87")
				return strings.Contains(out, p.Prefix.String())
			}
			r.another.Send(to, answer)
			r.Until("the guard has counted it", func() bool { // so it has arrived
				_, peer := r.why()
				return len(peer.Hops) == 1 && peer.Hops[0].DroppedIn.Packets > 0
			})
			c.Passed()
			if routed() {
				t.Error("an answer in clear was believed")
			}
			r.Fairlead.Reload(r.config(k[0], r.second("protection: none")))
			r.another.Send(to, answer)
			r.Until("the same answer is believed", routed)
		})
	}
}

// TestReloadToIPsecAndBack shows that after a reload that asks for protection no message of a
// client goes out in clear, while clients ask all the time. After the reload back, messages go
// out in clear again. The first server is not affected.
func TestReloadToIPsecAndBack(t *testing.T) {
	for _, keying := range []string{"ike", "manual"} {
		t.Run(keying, func(t *testing.T) {
			r := build(t, 2, 2)
			k := r.keyings()[keying]
			none, ipsec := r.config(k[0], r.second("protection: none")), r.config(k[0], r.second(k[1]))
			r.start(none)
			stop, ended := make(chan struct{}), make(chan error, 1)
			busy := r.Play(2, somebody(2).duid())
			go func() { ended <- talk(busy, stop) }()
			c := r.Play(1, somebody(1).duid())
			for range 3 {
				m := c.Passed()
				r.Until("the second server hears in clear", func() bool { return len(r.another.Heard(m)) > 0 })
				r.Fairlead.Reload(ipsec)
				record := r.uplink()
				for range 20 {
					if m := c.Passed(); len(r.another.Heard(m)) > 0 {
						t.Error("the second server heard in clear after the reload")
					}
				}
				if got := r.clear(record); got != 0 {
					t.Errorf("%d packets in clear after the reload", got)
				}
				r.Fairlead.Reload(none)
			}
			m := c.Passed()
			r.Until("the second server hears in clear again", func() bool { return len(r.another.Heard(m)) > 0 })
			close(stop)
			r.Need(<-ended)
			r.Until("the guard's table is gone, with nobody to guard", func() bool {
				out := r.Relay.Run("nft", "list", "tables")
				return !strings.Contains(out, "fairlead-relay-guard")
			})
		})
	}
}

// talk makes a client ask without a pause until it is told to stop. It fails if a message gets no
// answer at all.
func talk(c *rig.Client, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if _, err := c.Client.Exchange(labtest.Patience, c.Message(dhcp6.InformationRequest)); err != nil {
			return err
		}
	}
}

package trouble_test

import (
	"strings"
	"syscall"
	"testing"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// TestStreamsOnTheTerminal: watch and trace print what happens, one event a line,
// until the operator ends them, which is no failure.
func TestStreamsOnTheTerminal(t *testing.T) {
	r := start(t, plan{clients: 1})
	c := r.Play(1, rig.DUID(1))
	held := r.obtain(c, 1)
	p := r.book.Prefix(rig.DUID(1), 1).String()
	for name, follow := range map[string]struct {
		args string
		want []string // in one line
	}{
		"watch":     {"watch --link d1", []string{"d1:", "granted", p, rig.DUID(1).String()}},
		"watchjson": {"watch --json --prefix " + p, []string{`"kind":"delegation"`, `"text":"granted"`, `"prefix":"` + p + `"`}},
		"trace":     {"trace --client " + rig.DUID(1).String(), []string{"d1:", "sent", dhcp6.Reply.String(), "xid 0x"}},
	} {
		screen := r.Fairlead.Follow(name, strings.Fields(follow.args)...)
		r.Until("a line of "+follow.args+" has all of "+strings.Join(follow.want, " "), func() bool {
			c.Release(held)
			held = r.obtain(c, 1)
			return rig.Lines(screen.Log(), follow.want...) > 0
		})
		r.Need(screen.Signal(syscall.SIGINT))
		if err := screen.Wait(labtest.Patience); err != nil {
			t.Errorf("%s: ended by the operator: %v\n%s", follow.args, err, screen.Log())
		}
	}
}

// TestReaderWhoDoesNotRead: someone who opens a trace and does not read it holds
// nobody up and takes no memory; where events are missing it says so, or it ends.
func TestReaderWhoDoesNotRead(t *testing.T) {
	r := start(t, plan{clients: 1})
	c := r.Play(1, rig.DUID(1))
	r.obtain(c, 1)
	before := r.size()
	unread := r.stream("/v1/trace?link=d1")
	k := talkTo(c)
	const enough = 12000 // two events each, more than all buffers between us hold
	r.Until("enough was said", func() bool { return k.so() > enough })
	k.end(t)
	if after := r.size(); after.resident > before.resident+64<<10 {
		t.Errorf("it has grown from %d to %d KiB", before.resident, after.resident)
	}
	for events := 0; events < 2*k.asked; { // less than that, and not a word: a test that hangs
		line, err := unread.ReadString('\n')
		if err != nil || line == "event: lost\n" {
			break
		}
		if strings.HasPrefix(line, "event: ") {
			events++
		}
	}
}

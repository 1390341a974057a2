package trouble_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// onSmallDisk is a rig whose relay has its state folder on a small disk of its
// own, which nobody else sees and which outlives the relay. It is not started.
func onSmallDisk(t *testing.T) (r *network, disk *lab.Proc, state string) {
	t.Helper()
	state = t.TempDir()
	program := filepath.Join(t.TempDir(), "fairlead")
	r = build(t, plan{clients: 2, program: program, top: "state: " + state + "\nstore:\n  reserve: 8MiB\n"})
	script := "mount -t tmpfs -o size=48m,mode=700 tmpfs " + state + " && echo mounted && exec sleep infinity"
	disk = r.Relay.Start("disk", "unshare", "-m", "sh", "-c", script)
	r.Need(disk.Logged(labtest.Patience, "mounted"))
	enter := fmt.Sprintf("#!/bin/sh\nexec nsenter -t %d -m %s \"$@\"\n", disk.Pid(), rig.Binary())
	r.Need(os.WriteFile(program, []byte(enter), 0o755))
	return r, disk, state
}

// flagged says whether a reason of the status is about the store.
func flagged(reason string) bool { return strings.HasPrefix(reason, "store: ") }

// TestFullDisk: when the disk is full nothing new is granted, what was granted
// stays routed and can be extended, also after a crash, the operator is told, and
// all is well again once there is room. (Design, Keeping.)
func TestFullDisk(t *testing.T) {
	r, disk, state := onSmallDisk(t)
	r.Fairlead.Start()
	old, fresh := r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))
	held := r.obtain(old, 1)
	was := r.book.Prefix(rig.DUID(1), 1)
	r.WantRoute(was, 1)
	if s := r.status(); !s.Store.Healthy || s.Store.Full {
		t.Fatalf("the store is in trouble before there is any: %+v", s.Store)
	}

	fill := filepath.Join(state, "filler")
	_, err := disk.Run("sh", "-c", "head -c 64M /dev/zero >"+fill+" 2>/dev/null; truncate -s -1M "+fill)
	r.Need(err)
	r.withholds(old, fresh, held)
	r.Fairlead.Kill()
	r.Relay.IP("-6 route flush table all proto 87")
	r.Fairlead.Start()
	if got := r.routes()[was]; !strings.HasPrefix(got, r.way(1)) {
		t.Errorf("after a crash on a full disk %s is routed %q", was, got)
	}
	r.withholds(old, fresh, held)

	_, err = disk.Run("rm", fill)
	r.Need(err)
	r.Until("the store is well again", func() bool {
		s := r.status()
		return s.Store.Healthy && !s.Store.Full && s.Totals.Unkept == 0 && !slices.ContainsFunc(s.Degraded, flagged)
	})
	r.obtain(fresh, 1)
	r.WantRoute(r.book.Prefix(rig.DUID(2), 1), 2)
	r.WantRoute(was, 1)
}

// TestReadOnlyStateFolder: a state folder that takes no writes costs new grants,
// and nothing else. What the store holds is routed after a reboot, and can be
// extended; the status names what cannot be kept.
func TestReadOnlyStateFolder(t *testing.T) {
	r, disk, state := onSmallDisk(t)
	remount := func(how string) {
		t.Helper()
		_, err := disk.Run("mount", "-o", "remount,"+how, state)
		r.Need(err)
	}
	remount("ro")
	r.Fairlead.Start() // nothing was ever kept
	told := strings.Join(r.status().Degraded, "\n")
	if !strings.Contains(told, "relay-id: cannot be made and kept") || !strings.Contains(told, "store: ") {
		t.Errorf("nothing can be written, and degraded is\n%s", told)
	}
	r.Fairlead.Stop()
	remount("rw")

	r.Fairlead.Start()
	old, fresh := r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))
	held := r.obtain(old, 1)
	was, denied := r.book.Prefix(rig.DUID(1), 1), r.book.Prefix(rig.DUID(2), 1)
	r.WantRoute(was, 1)
	if s := r.status(); !s.Store.Healthy || slices.ContainsFunc(s.Degraded, flagged) {
		t.Fatalf("the folder can be written, and the status is %+v", s)
	}
	r.Fairlead.Kill()
	remount("ro")
	r.Relay.IP("-6 route flush table all proto 87")
	r.Relay.Run("nft", "flush", "ruleset")

	r.Fairlead.Start()
	if got := r.routes()[was]; !strings.HasPrefix(got, r.way(1)) {
		t.Errorf("after a start with a read-only folder %s is routed %q", was, got)
	}
	if s := r.status(); s.Store.Healthy || !slices.ContainsFunc(s.Degraded, flagged) {
		t.Errorf("the folder is read-only, and the status is %+v", s)
	}
	r.Fairlead.Logged("level=WARN", "opened for reading only")
	before := len(r.Played.Received())
	fresh.Send(request(fresh, 1))
	r.Until("the server has answered the Request", func() bool { return len(r.Played.Received()) > before })
	if got := script.Delegations(r.extend(old, dhcp6.Renew, held)); len(got) != 1 || got[0].Prefix != was {
		t.Errorf("the Renew of a kept delegation got %v, want %s", got, was)
	}
	if got := r.routes()[denied]; got != "" {
		t.Errorf("%s is not kept and routed %s", denied, got)
	}

	remount("rw")
	r.Until("the store is well again", func() bool {
		s := r.status()
		return s.Store.Healthy && s.Totals.Unkept == 0 && !slices.ContainsFunc(s.Degraded, flagged)
	})
	r.obtain(fresh, 1)
	r.WantRoute(denied, 2)
}

// withholds fails the test unless the relay, whose disk is full, grants the fresh
// client nothing, extends what the old one holds, and says so.
func (r *network) withholds(old, fresh *rig.Client, held dhcp6.Message) {
	t := r.T
	t.Helper()
	was, denied := r.book.Prefix(rig.DUID(1), 1), r.book.Prefix(rig.DUID(2), 1)
	before := len(r.Played.Received())
	fresh.Send(request(fresh, 1))
	r.Until("the server has answered the Request", func() bool { return len(r.Played.Received()) > before })
	// What the relay does for the old client it does after that: the Reply to
	// the new one would have been here before.
	for _, kind := range []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind} {
		reply := r.extend(old, kind, held)
		if got := script.Delegations(reply); len(got) != 1 || got[0].Prefix != was {
			t.Errorf("the %v of a kept delegation got %v, want %s", kind, got, was)
		}
	}
	if p, err := fresh.Client.Receive(quiet); err == nil {
		t.Errorf("the disk is full and the new client was told %x", p.Data)
	}
	if got := r.routes()[denied]; got != "" {
		t.Errorf("%s is not kept and routed %s", denied, got)
	}
	r.WantRoute(was, 1)
	s := r.status()
	if s.Store.Healthy || !s.Store.Full || s.Totals.KeepFailed == 0 {
		t.Errorf("the disk is full, and the status has %+v, %+v", s.Store, s.Totals)
	}
	if s.Totals.Unkept == 0 {
		t.Error("a Reply left that the store does not know of, and the status does not say so")
	}
	if !slices.ContainsFunc(s.Degraded, flagged) {
		t.Errorf("the disk is full, and degraded is %q", s.Degraded)
	}
	text := r.Fairlead.CLI("status")
	if !strings.Contains(text, "store: ") {
		t.Errorf("the disk is full, and fairlead status says\n%s", text)
	}
	r.Fairlead.Logged("level=WARN", "full")
}

// extend sends a message with the IA_PDs of an earlier Reply.
func (r *network) extend(c *rig.Client, t dhcp6.MessageType, held dhcp6.Message) dhcp6.Message {
	r.T.Helper()
	deed := c.Renew
	if t == dhcp6.Rebind {
		deed = c.Rebind
	}
	return deed(held)
}

// TestDamagedStore damages the files of a relay that does not run. It starts all
// the same, says what is wrong, and serves. (Design, Keeping.)
func TestDamagedStore(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, db string){
		"octets flipped in every file": func(t *testing.T, db string) {
			random := rand.New(rand.NewPCG(17, 1))
			change(t, db, "*", func(b []byte) []byte {
				for range 1 + len(b)/64 {
					if len(b) > 0 {
						b[random.IntN(len(b))] ^= 0xff
					}
				}
				return b
			})
		},
		"manifests and markers gone": func(t *testing.T, db string) {
			change(t, db, "MANIFEST*", func([]byte) []byte { return nil })
			change(t, db, "marker*", func([]byte) []byte { return nil })
			change(t, db, "CURRENT", func([]byte) []byte { return nil })
		},
		"manifests of zeros": func(t *testing.T, db string) {
			change(t, db, "MANIFEST*", func(b []byte) []byte { return make([]byte, len(b)) })
		},
		"octets flipped in the middle of the log": func(t *testing.T, db string) {
			change(t, db, "*.log", func(b []byte) []byte {
				for i := len(b) / 3; i < len(b)/3+16 && i < len(b); i++ {
					b[i] ^= 0x5a
				}
				return b
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, plan{clients: 2, links: []string{"limits: {link: 65000, client: 1000, per-mac: none}"}})
			c := r.Play(1, rig.DUID(1))
			const granted = 20
			for i := range uint32(granted) { // each in a commit of its own
				r.obtain(c, i+1)
			}
			r.Fairlead.Kill()
			damage(t, filepath.Join(r.Fairlead.State, "db"))
			r.Fairlead.Start()

			s := r.status()
			if s.Store.RecordsSetAside == 0 && len(s.Store.DatabasesSetAside) == 0 {
				t.Errorf("the status has nothing of the damage: %+v", s.Store)
			}
			if !slices.ContainsFunc(s.Degraded, flagged) {
				t.Errorf("the store is damaged, and degraded is %q", s.Degraded)
			}
			if rig.Lines(r.Fairlead.Log(), "level=ERROR", "store")+rig.Lines(r.Fairlead.Log(), "level=WARN", "store") == 0 {
				t.Errorf("the store is damaged, and the log is\n%s", r.Fairlead.Log())
			}
			// Whatever was saved, no route is there for what is not known.
			leases := r.delegations()
			for p := range r.routes() {
				if _, ok := leases[p]; !ok {
					t.Errorf("%s is routed and not known", p)
				}
			}
			t.Logf("%d of %d delegations were saved", len(leases), granted)

			other := r.Play(2, rig.DUID(2))
			r.obtain(other, 1)
			r.WantRoute(r.book.Prefix(rig.DUID(2), 1), 2)
			r.Fairlead.Restart()
			r.WantRoute(r.book.Prefix(rig.DUID(2), 1), 2)
		})
	}
}

// change rewrites the files of a folder that match; nil removes them. It fails
// the test if there is no file at all.
func change(t *testing.T, folder, pattern string, f func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, pattern))
	need(t, err)
	for _, file := range files {
		info, err := os.Stat(file)
		need(t, err)
		if !info.Mode().IsRegular() {
			continue
		}
		b, err := os.ReadFile(file)
		need(t, err)
		if b = f(b); b == nil {
			need(t, os.Remove(file))
			continue
		}
		need(t, os.WriteFile(file, b, 0o600))
	}
	if all, err := os.ReadDir(folder); err != nil || len(all) == 0 && len(files) == 0 {
		t.Fatalf("%s holds nothing to damage: %v", folder, err)
	}
}

//go:build vm

package vm_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

// medium is a disk that can be pulled out: a device on the PCI bus.
type medium struct {
	*rig.Host
	path string // of the device on the bus
}

// plug brings the disk in, as a file system where it is blank, and mounts it.
func (m *medium) plug(blank bool) {
	m.Net.T.Helper()
	m.Run("sh", "-c", "echo 1 >/sys/bus/pci/rescan")
	disk := "" // vda, or vdb while somebody holds what was pulled out
	m.Net.Until("the disk is there", func() bool {
		disk = strings.TrimSpace(m.Run("sh", "-c", "ls /sys/block | grep vd || :"))
		return disk != ""
	})
	if blank {
		m.Run("busybox", "mkdosfs", "/dev/"+disk)
	}
	m.Run("mount", "-t", "vfat", "/dev/"+disk, "/mnt")
	m.path = strings.TrimSpace(m.Run("busybox", "readlink", "-f", "/sys/block/"+disk+"/device/.."))
}

// pull takes the disk out without a word to whoever uses it.
func (m *medium) pull() {
	m.Net.T.Helper()
	m.Run("sh", "-c", "echo 1 >"+m.path+"/remove")
}

// RFC 6925 section 6: the relay-id is on a token. When its medium is pulled out, the kernel
// still has the file in its memory, and the relay stops all the same; it goes on once the
// medium is back.
func TestRFC6925_6_TokenIsPulledOut(t *testing.T) {
	n := rig.New(t)
	r, c := n.Node("r"), n.Node("c")
	n.Veth(r, "d1", c, "c0")
	r.IP("addr add 10.1.1.1/24 dev d1")
	r.Run("sh", "-c", "modprobe virtio_pci; modprobe virtio_blk; mkdir -p /mnt")
	m := &medium{Host: r}
	m.plug(true)
	const id = "00:03:00:01:02:00:5e:00:53:01"
	r.Run("sh", "-c", "echo "+id+" >/mnt/relay-id; sync")
	p := r.Fairlead(relay.Config{Text: rig.NoMetrics + "relay-id: {source: file, file: /mnt/relay-id, required: token}\n" +
		"peers:\n  - {name: server, address: 10.9.0.2, role: server, interfaces: [u0], protection: none}\n" +
		"relay4:\n  links:\n    - match: d1\n"})
	p.Start()
	client, err := peer.StartClient4(c.Node, "c0")
	n.Need(err)
	defer client.Close()
	count := func() (taken, refused uint64) {
		var about api.Relay4
		p.Ask("/v1/relay4", &about)
		return about.Received["discover"], about.Drops["no-token"]
	}
	taken := func(what string) {
		t.Helper()
		before, _ := count()
		n.Until(what, func() bool {
			n.Need(client.Discover())
			now, _ := count()
			return now > before
		})
	}
	taken("messages are taken")
	// Somebody has read the file, and has it open: for him the kernel has it in its memory.
	kept, err := os.Open("/mnt/relay-id")
	n.Need(err)
	_, err = io.ReadAll(kept)
	n.Need(err)
	_, err = kept.Seek(0, io.SeekStart)
	n.Need(err)
	m.pull()
	n.Until("the relay has stopped", func() bool {
		n.Need(client.Discover())
		_, refused := count()
		return refused > 0
	})
	held, err := io.ReadAll(kept)
	if err != nil || !strings.Contains(string(held), id) {
		t.Errorf("who has the file open reads %q, %v: it was not in the kernel's memory, so that the test shows nothing", held, err)
	}
	before, _ := count()
	for range 5 {
		n.Need(client.Discover())
	}
	_, refused := count()
	n.Until("all are refused", func() bool { _, now := count(); return now >= refused })
	if now, _ := count(); now != before {
		t.Errorf("%d messages were taken without the token", now-before)
	}
	if status := p.CLI("status"); !strings.Contains(status, "nothing is relayed") {
		t.Errorf("status does not tell:\n%s", status)
	}
	n.Need(kept.Close())
	r.Run("busybox", "umount", "-l", "/mnt")
	m.plug(false)
	taken("messages are taken again")
	r.Run("busybox", "umount", "/mnt")
}

package netlink

import (
	"os"
	"path/filepath"
	"strings"
)

// Forwards reports whether the kernel forwards IPv6 packets that come in by an interface, in the
// network namespace of the calling thread. If the interface is not there, or cannot be asked, the
// answer is true.
func Forwards(link string) bool {
	if strings.ContainsRune(link, '/') {
		return true
	}
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", link, "forwarding"))
	return err != nil || strings.TrimSpace(string(b)) != "0"
}

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// nodeName keeps names short enough for a log line and safe as a path.
var nodeName = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)

// Node is one network namespace: a host of the network.
//
// One thread of the process stays inside the namespace for the node's lifetime. Everything that
// must happen in the namespace (opening sockets, starting programs) happens on this thread.
type Node struct {
	Name      string // in the network, such as "c1"
	Namespace string // on the machine, for `ip netns exec`
	Net       *Net

	work chan func()
	quit chan struct{} // closed to end the thread
	gone chan struct{} // closed when the thread has ended
	once sync.Once
	inum uint64 // the namespace's inode, as /proc/PID/ns/net shows it
}

func newNode(n *Net, name string) (*Node, error) {
	if !nodeName.MatchString(name) {
		return nil, fmt.Errorf("%q is not a node name", name)
	}
	d := &Node{
		Name:      name,
		Namespace: n.prefix + name,
		Net:       n,
		work:      make(chan func()),
		quit:      make(chan struct{}),
		gone:      make(chan struct{}),
	}
	if out, err := exec.Command("ip", "netns", "add", d.Namespace).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip netns add: %w: %s", err, out)
	}
	entered := make(chan error)
	go d.live(entered)
	if err := <-entered; err != nil {
		return nil, errors.Join(err, deleteNamespace(d.Namespace))
	}
	return d, nil
}

// live is the node's thread. The thread is never unlocked, so the runtime ends it at the end,
// instead of using it outside the namespace.
func (d *Node) live(entered chan<- error) {
	runtime.LockOSThread()
	defer close(d.gone)
	err := d.enter()
	entered <- err
	if err != nil {
		return
	}
	for {
		select {
		case f := <-d.work:
			f()
		case <-d.quit:
			return
		}
	}
}

func (d *Node) enter() error {
	path := filepath.Join("/run/netns", d.Namespace)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	d.inum = st.Ino
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("setns %s: %w", path, err)
	}
	return nil
}

// prepare makes the settings that every node has.
func (d *Node) prepare() error {
	for _, key := range []string{
		"net/ipv6/conf/all/accept_ra", "net/ipv6/conf/default/accept_ra",
		"net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/accept_dad",
		"net/ipv6/conf/default/dad_transmits",
	} {
		if err := d.Sysctl(key, "0"); err != nil {
			return err
		}
	}
	_, err := d.IP("link set lo up")
	return err
}

// Do calls f on the node's thread and returns what it returns: sockets that f
// opens and programs that it starts are in the namespace. f must not wait for
// long, as the node does nothing else meanwhile.
func (d *Node) Do(f func() error) error {
	done := make(chan error, 1)
	select {
	case d.work <- func() { done <- f() }:
		return <-done
	case <-d.gone:
		return fmt.Errorf("lab: node %s: is removed", d.Name)
	}
}

// Run runs a command in the node until it ends, and returns its standard output. The error
// contains the command line and the standard error.
func (d *Node) Run(args ...string) (string, error) {
	return d.Feed("", args...)
}

// Feed is Run with a text as the command's standard input.
func (d *Node) Feed(input string, args ...string) (string, error) {
	var out, diag strings.Builder
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &diag
	err := d.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%s: %s: %w: %s", d.Name, strings.Join(args, " "), err, strings.TrimSpace(diag.String()))
	}
	return out.String(), err
}

// IP runs the ip command with the words of the text as arguments, for instance "-6 route show dev
// d1".
func (d *Node) IP(format string, args ...any) (string, error) {
	return d.Run(append([]string{"ip"}, strings.Fields(fmt.Sprintf(format, args...))...)...)
}

// Batch runs many ip -6 commands in one process, one per line: "route add ...". The first command
// that fails ends it.
func (d *Node) Batch(lines ...string) error {
	_, err := d.Feed(strings.Join(lines, "\n")+"\n", "ip", "-6", "-batch", "-")
	return err
}

// Sysctl sets a value of the namespace: "net/ipv6/conf/all/forwarding", "1".
func (d *Node) Sysctl(key, value string) error {
	return d.Do(func() error {
		return os.WriteFile("/proc/sys/"+key, []byte(value), 0o644)
	})
}

// Interface returns an interface of the node as it is now.
func (d *Node) Interface(name string) (*net.Interface, error) {
	var found *net.Interface
	err := d.Do(func() (err error) {
		found, err = net.InterfaceByName(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: interface %s: %w", d.Name, name, err)
	}
	return found, nil
}

// Addresses returns the IPv6 addresses of an interface with their lengths.
func (d *Node) Addresses(name string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	err := d.Do(func() error {
		found, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		addrs, err := found.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is6() {
				list = append(list, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: addresses of %s: %w", d.Name, name, err)
	}
	return list, nil
}

// linkLocalWait is how long the kernel may take to give a link-local address to an interface that
// has a carrier.
const linkLocalWait = 60 * time.Second

// LinkLocal returns the first link-local address of an interface, without a zone. It waits for
// the address, because the kernel makes it a moment after the carrier is there.
func (d *Node) LinkLocal(name string) (netip.Addr, error) {
	var (
		found netip.Addr
		err   error
	)
	late := Until(linkLocalWait, d.Name+": "+name+" has a link-local address", func() bool {
		var list []netip.Prefix
		list, err = d.Addresses(name)
		for _, p := range list {
			if p.Addr().IsLinkLocalUnicast() && !found.IsValid() {
				found = p.Addr()
			}
		}
		return err != nil || found.IsValid()
	})
	return found, errors.Join(err, late)
}

// Ping sends one echo request to an address and waits a second for the answer.
// A valid from is the source address, which the node must have.
func (d *Node) Ping(from, to netip.Addr) error {
	args := []string{"ping", "-6", "-n", "-q", "-c", "1", "-W", "1"}
	if from.IsValid() {
		args = append(args, "-I", from.String())
	}
	_, err := d.Run(append(args, to.String())...)
	return err
}

// remove ends the thread and deletes the namespace.
func (d *Node) remove() error {
	d.once.Do(func() { close(d.quit) })
	<-d.gone
	return deleteNamespace(d.Namespace)
}

func deleteNamespace(name string) error {
	if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
		return fmt.Errorf("lab: ip netns delete %s: %w: %s", name, err, out)
	}
	return nil
}

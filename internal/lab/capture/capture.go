// Package capture shows what is on the wire, as programs of other authors see it: tcpdump
// records, and tshark decodes. tshark 4.0 says nothing about a DHCPv6 option that runs past the
// end of its message. So Walk adds a strict reader of lengths, which does not use the relay's
// codec.
//
// A Capture may be used from several goroutines; its file belongs to the
// network that it was made in.
package capture

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"fairlead/internal/lab"
)

// DHCPv6 is the tcpdump filter for the UDP messages of DHCPv6 programs.
const DHCPv6 = "udp port 546 or udp port 547"

// started counts captures, for their names.
var started atomic.Int64

// ring is the room for packets that tcpdump has not read yet, in KiB. Each packet takes 64 KiB of
// it at first, however short it is, so 32 packets fill the default room, and on a busy machine
// tcpdump then misses some.
const ring = "16384"

// ready is how long tcpdump may take to start.
const ready = 3 * time.Minute

// Capture is a recording, under way or finished.
type Capture struct {
	File string // in pcap format

	node *lab.Node
	proc *lab.Proc
}

// Start records what passes an interface of a node, in either direction, and
// matches a tcpdump filter. The name "any" stands for all interfaces.
func Start(d *lab.Node, name, filter string) (*Capture, error) {
	program := fmt.Sprintf("tcpdump%d-%s", started.Add(1), name)
	dir, err := d.Folder(program)
	if err != nil {
		return nil, err
	}
	c := &Capture{File: filepath.Join(dir, "packets.pcap"), node: d}
	c.proc, err = d.Start(lab.Command{
		Name: program,
		Args: append([]string{
			// Without -Z tcpdump gives up root, and cannot write. Without the next two options
			// the last packets are lost when it is stopped.
			"tcpdump", "-Z", "root", "-U", "--immediate-mode", "-B", ring, "-n", "-i", name, "-w", c.File,
		}, strings.Fields(filter)...),
	})
	if err != nil {
		return nil, err
	}
	return c, c.proc.Logged(ready, "listening on")
}

// Stop ends the recording. Packets that tcpdump has not read yet are not recorded: who wants a certain packet
// waits for it first. The file stays until the network is closed.
func (c *Capture) Stop() error { return c.proc.Stop() }

// Tcpdump returns the command by which tcpdump prints what was recorded. The caller's options and
// filter are at its end.
func (c *Capture) Tcpdump(options ...string) []string {
	return append([]string{"tcpdump", "-Z", "root", "-n", "-r", c.File}, options...)
}

// Lines returns what Tcpdump prints of what was recorded so far: one line for each packet, unless
// the options ask for more.
func (c *Capture) Lines(options ...string) ([]string, error) {
	// A file that is being written may end inside a packet. tcpdump then fails, after it has
	// printed the packets before.
	out, err := c.node.Run(c.Tcpdump(options...)...)
	if err != nil && out == "" {
		return nil, err
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' }), nil
}

// Fields returns fields of the packets that match tshark's display filter: one row per packet,
// one column per field. Values of a field that occurs more than once are separated by commas; for
// dhcpv6.msgtype the outermost comes first ("12,1").
func (c *Capture) Fields(filter string, fields ...string) ([][]string, error) {
	args := []string{"-T", "fields", "-E", "separator=|"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := c.tshark(filter, args...)
	var rows [][]string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Split(strings.TrimRight(line, "\n"), "|"))
	}
	return rows, err
}

// Wait waits until a packet that matches a display filter has been recorded,
// and returns the rows of all that match.
func (c *Capture) Wait(limit time.Duration, filter string, fields ...string) ([][]string, error) {
	var rows [][]string
	err := lab.Until(limit, fmt.Sprintf("a packet matches %s", filter), func() bool {
		rows, _ = c.Fields(filter, fields...) // a file that is being written may end inside a packet
		return len(rows) > 0
	})
	return rows, err
}

// Datagram is a UDP datagram of a capture.
type Datagram struct {
	Frame    string // tshark's number of the (last) frame
	Source   string // addresses and ports as tshark prints them
	Dest     string
	FromPort string
	ToPort   string
	Payload  []byte
}

// Datagrams returns the UDP datagrams that match a display filter. Datagrams that came in
// fragments are reassembled.
func (c *Capture) Datagrams(filter string) ([]Datagram, error) {
	rows, err := c.Fields(filter, "frame.number", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "udp.payload")
	var list []Datagram
	for _, row := range rows {
		payload, bad := hex.DecodeString(strings.ReplaceAll(row[5], ":", ""))
		if bad != nil {
			return list, fmt.Errorf("capture: frame %s: payload %q: %w", row[0], row[5], bad)
		}
		if len(payload) > 0 {
			list = append(list, Datagram{row[0], row[1], row[2], row[3], row[4], payload})
		}
	}
	return list, err
}

// Check fails if there is no DHCPv6 in the capture, or a packet that tshark calls malformed or
// warns of, or a message in which a length does not fit.
func (c *Capture) Check() error {
	marked, err := c.Fields(`_ws.malformed || _ws.expert.severity >= "Warning"`,
		"frame.number", "dhcpv6.msgtype", "_ws.expert.message")
	if err != nil {
		return err
	}
	var errs []error
	for _, row := range marked {
		errs = append(errs, fmt.Errorf("capture: tshark objects to frame %s: %s", row[0], strings.Join(row[1:], " ")))
	}
	datagrams, err := c.Datagrams("(udp.port == 546 || udp.port == 547) && !icmpv6") // an ICMPv6 error quotes only a part of a datagram
	if err != nil {
		return err
	}
	if len(datagrams) == 0 {
		errs = append(errs, fmt.Errorf("capture: %s holds no DHCPv6", c.File))
	}
	for _, d := range datagrams {
		if err := Walk(d.Payload); err != nil {
			errs = append(errs, fmt.Errorf("capture: frame %s: %w", d.Frame, err))
		}
	}
	return errors.Join(errs...)
}

// tshark reads the file. That works in every namespace.
func (c *Capture) tshark(filter string, args ...string) (string, error) {
	all := append([]string{"tshark", "-n", "-r", c.File, "-Y", filter}, args...)
	return c.node.Run(all...)
}

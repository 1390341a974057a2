// Package dissect makes tshark read packets that a test has built, so that they are checked
// independently of the codec that built them. What was recorded on a wire is read by package
// capture.
package dissect

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Packet has what tshark reads in a packet: for each field its values, in the order of the
// packet, outer layers first.
type Packet map[string][]string

// These fields say whether tshark finds a packet correct.
const (
	Malformed = "_ws.malformed"
	Complaint = "_ws.expert.message"
)

// The link types of packets say what tshark takes their first octets for.
const (
	Ethernet = 1
	IP       = 101
)

// Fields runs tshark on the packets, and returns the given fields of each packet. The packets are
// written to a capture file in dir.
func Fields(ctx context.Context, dir string, link uint32, packets [][]byte, fields []string) ([]Packet, error) {
	path := filepath.Join(dir, "packets.pcap")
	if err := os.WriteFile(path, file(link, packets), 0o600); err != nil {
		return nil, err
	}
	args := []string{
		"-n", "-r", path, "-o", "udp.check_checksum:TRUE",
		"-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=;",
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(ctx, "tshark", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("tshark: %w\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(packets) {
		return nil, fmt.Errorf("tshark saw %d packets of %d\n%s", len(lines), len(packets), stderr.String())
	}
	list := make([]Packet, len(lines))
	for i, line := range lines {
		columns := strings.Split(line, "|")
		if len(columns) != len(fields) {
			return nil, fmt.Errorf("tshark wrote %d fields of %d: %s", len(columns), len(fields), line)
		}
		list[i] = Packet{}
		for j, f := range fields {
			if columns[j] != "" {
				list[i][f] = strings.Split(columns[j], ";")
			}
		}
	}
	return list, nil
}

// file returns a capture file of the packets (pcap version 2.4), one second apart.
func file(link uint32, packets [][]byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...) // time zone and accuracy, always 0
	b = le.AppendUint32(b, 262144)    // the longest packet
	b = le.AppendUint32(b, link)
	for i, p := range packets {
		b = le.AppendUint32(b, uint32(i)) // seconds
		b = le.AppendUint32(b, 0)         // microseconds
		b = le.AppendUint32(b, uint32(len(p)))
		b = le.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	return b
}

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp6"
)

// throwers is how many link-layer addresses a flood has.
const throwers = 64

// throw sends Solicits from an interface as fast as one core can, and prints at
// SIGTERM how many they were and how long it took.
func throw(port string) error {
	on, err := net.InterfaceByName(port)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return err
	}
	frames, err := solicits()
	if err != nil {
		return err
	}
	enough := make(chan os.Signal, 1)
	signal.Notify(enough, syscall.SIGTERM)
	to := &unix.SockaddrLinklayer{Ifindex: on.Index}
	start, sent := time.Now(), 0
	for {
		select {
		case <-enough:
			fmt.Println("thrown:", sent, time.Since(start).Nanoseconds())
			return nil
		default:
		}
		for _, f := range frames {
			switch err := unix.Sendto(fd, f, 0, to); err {
			case nil:
				sent++
			case unix.ENOBUFS, unix.EINTR:
			default:
				return err
			}
		}
	}
}

// solicits are the frames of a flood.
func solicits() (frames [][]byte, err error) {
	for n := range throwers {
		mac := binary.BigEndian.AppendUint32([]byte{2, 0xf0}, uint32(n))
		source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: 0xf0, 15: byte(n)})
		message := dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, uint32(n))
		message = dhcp6.AppendClientID(message, dhcp6.AppendDUIDLL(nil, 1, mac))
		message = dhcp6.AppendElapsedTime(message, 0)
		message = dhcp6.AppendIA(message, dhcp6.OptionIAPD, dhcp6.IA{IAID: 1})
		ip := &layers.IPv6{
			Version: 6, NextHeader: layers.IPProtocolUDP, HopLimit: 1,
			SrcIP: source.AsSlice(), DstIP: dhcp6.AllRelayAgentsAndServers.AsSlice(),
		}
		udp := &layers.UDP{SrcPort: dhcp6.ClientPort, DstPort: dhcp6.ServerPort}
		ether := &layers.Ethernet{SrcMAC: mac, DstMAC: net.HardwareAddr{0x33, 0x33, 0, 1, 0, 2}, EthernetType: layers.EthernetTypeIPv6}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			return nil, err
		}
		b := gopacket.NewSerializeBuffer()
		o := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(b, o, ether, ip, udp, gopacket.Payload(message)); err != nil {
			return nil, err
		}
		frames = append(frames, b.Bytes())
	}
	return frames, nil
}

// startThrower has somebody flood a port of gen.
func (r *rig) startThrower(port string) (*lab.Proc, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return r.gen.Start(lab.Command{Name: "thrower", Args: pinned(otherCore, self, "thrower", port)})
}

// thrown ends a flood and reads what it was.
func thrown(p *lab.Proc) (sent int, took time.Duration, err error) {
	if err := p.Stop(); err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(p.Log(), "thrown: %d %d", &sent, &took); err != nil {
		return 0, 0, fmt.Errorf("thrower: %w: %s", err, p.Log())
	}
	return sent, took, nil
}

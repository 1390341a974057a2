package udp

import (
	"golang.org/x/sys/unix"
)

const (
	protocolUDP = 17
	udpHeader   = 8

	// From linux/filter.h: offsets of metadata, or of octets from the network header on, whatever
	// the socket gets first.
	skfADPktType = 0xfffff000 + 4
	skfADIfindex = 0xfffff000 + 8
	skfNetOff    = 0xfff00000
)

// Indexes of the sockets that share the wildcard by SO_REUSEPORT, in the order in which they were
// bound. Unicast goes to one of them, multicast to each.
const (
	placeOfAll   = 0
	placeOfApart = 2
)

// steer says which of the sockets at a wildcard receives unicast.
func steer(apart []int) []unix.SockFilter {
	var p program
	p.onLinks(apart, refuse, accept)
	p.result(accept, placeOfAll)
	p.result(refuse, placeOfApart)
	return p.whole()
}

// groupFilter is for a socket that gets what is sent to the group on all links. It refuses the
// links that are apart; with theirs, it accepts only these. With skip it also refuses what the
// frame path takes: packets to the group that have no extension header and are so short that no
// node has a reason to send them in fragments (copies.go handles those that do).
func (f *profile) groupFilter(apart []int, theirs, skip bool) []unix.SockFilter {
	var p program
	p.only(apart, theirs)
	if skip {
		p.add(unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN})
		p.branch(unix.BPF_JGT, uint32(f.minimumMTU-f.header), accept, next)
		f.toGroup(&p, skfNetOff, accept)
		p.load(unix.BPF_B, skfNetOff+uint32(f.protocolAt))
		p.branch(unix.BPF_JEQ, protocolUDP, refuse, accept)
	}
	p.result(accept, 0xffffffff)
	p.result(refuse, 0)
	return p.whole()
}

// clientFilter accepts what the frame path handles: UDP to port, without extension headers, to
// the group, no longer than frameRoom, not sent by this host, and not for another link-layer
// address. It also accepts fragments to the group, which show that somebody sends fragments. It
// refuses the links that are apart; with theirs, it accepts only these. Each packet of the family
// that this host receives or forwards goes through this filter, so the test that nearly all of
// them fail comes first. The socket is of type SOCK_DGRAM: offset 0 is the IP header on all
// links.
func (f *profile) clientFilter(port uint16, apart []int, theirs bool) []unix.SockFilter {
	var p program
	if !theirs || len(apart) > 0 {
		f.toGroup(&p, 0, refuse)
		p.only(apart, theirs)
		p.load(unix.BPF_B, skfADPktType)
		// PACKET_OTHERHOST and PACKET_OUTGOING are larger than PACKET_MULTICAST.
		p.branch(unix.BPF_JGT, unix.PACKET_MULTICAST, refuse, next)
		f.takes(&p, port)
		p.result(accept, frameRoom)
	}
	p.result(refuse, 0)
	return p.whole()
}

// toGroup jumps to others if the destination of the packet that begins at this offset is not the
// group. The words that differ most are compared first.
func (f *profile) toGroup(p *program, from uint32, others label) {
	to := f.group.AsSlice()
	for _, w := range []int{0, 12, 4, 8} {
		if w < len(to) {
			p.load(unix.BPF_W, from+uint32(f.sourceAt+f.addrLen+w))
			p.branch(unix.BPF_JEQ, word(to[w:]), next, others)
		}
	}
}

func word(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// program is a filter in classic BPF that is being written. Jumps go only forward, to labels that
// are placed later.
type program struct {
	code   []unix.SockFilter
	jumps  []jump
	places [labels]int
}

// label is a position in a program.
type label int

const (
	next   label = iota // the next instruction
	others              // the instruction after a test for links
	accept
	refuse
	labels
)

// jump is an instruction whose destinations are not known yet.
type jump struct {
	at      int
	yes, no label
}

func (p *program) add(i unix.SockFilter) { p.code = append(p.code, i) }

func (p *program) load(size uint16, offset uint32) {
	p.add(unix.SockFilter{Code: unix.BPF_LD | size | unix.BPF_ABS, K: offset})
}

// branch compares the value that was loaded.
func (p *program) branch(test uint16, value uint32, yes, no label) {
	p.jumps = append(p.jumps, jump{len(p.code), yes, no})
	p.add(unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: value})
}

// onLinks jumps to found if the packet came in on one of these links, else to otherwise.
func (p *program) onLinks(links []int, found, otherwise label) {
	p.load(unix.BPF_W, skfADIfindex)
	for _, link := range links {
		p.branch(unix.BPF_JEQ, uint32(link), found, next)
	}
	p.branch(unix.BPF_JEQ, 0, otherwise, otherwise)
}

// only refuses packets that came in on links that are apart; with theirs, those that came in on
// other links.
func (p *program) only(apart []int, theirs bool) {
	switch {
	case theirs:
		p.onLinks(apart, others, refuse)
	case len(apart) > 0:
		p.onLinks(apart, refuse, others)
	}
	p.place(others)
}

func (p *program) place(l label) { p.places[l] = len(p.code) }

// result ends a program at a label.
func (p *program) result(l label, value uint32) {
	p.place(l)
	p.add(unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value})
}

func (p *program) whole() []unix.SockFilter {
	for _, j := range p.jumps {
		p.places[next] = j.at + 1
		p.code[j.at].Jt = uint8(p.places[j.yes] - j.at - 1)
		p.code[j.at].Jf = uint8(p.places[j.no] - j.at - 1)
	}
	return p.code
}

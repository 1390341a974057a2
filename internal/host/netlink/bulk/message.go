package bulk

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// message is one received netlink message; body is a part of the buffer.
type message struct {
	kind, flags uint16
	seq         uint32
	body        []byte
}

// each calls f with the messages in b until f returns false. A length that is wrong ends it.
func each(b []byte, f func(message) bool) {
	for len(b) >= headerLen {
		n := int(binary.NativeEndian.Uint32(b))
		if n < headerLen || n > len(b) {
			return
		}
		m := message{
			kind:  binary.NativeEndian.Uint16(b[4:]),
			flags: binary.NativeEndian.Uint16(b[6:]),
			seq:   binary.NativeEndian.Uint32(b[8:]),
			body:  b[headerLen:n],
		}
		if !f(m) {
			return
		}
		b = b[min(align(n), len(b)):]
	}
}

// refusal reads an acknowledgement or the end of a dump: nil for success.
func (m message) refusal() error {
	if len(m.body) < 4 {
		return nil
	}
	errno := int32(binary.NativeEndian.Uint32(m.body))
	if errno == 0 {
		return nil
	}
	if errno < 0 {
		errno = -errno
	}
	r := &Refusal{Errno: unix.Errno(errno)}
	// An acknowledgement goes on with the header of the request, and then, if the flag is set,
	// with attributes.
	if m.flags&unix.NLM_F_ACK_TLVS != 0 && len(m.body) > 4+headerLen {
		Attrs(m.body[4+headerLen:], func(kind uint16, v []byte) {
			if kind == unix.NLMSGERR_ATTR_MSG {
				r.Text = string(bytes.TrimRight(v, "\x00"))
			}
		})
	}
	return r
}

// Begin appends the header of a message and its fixed part. End finishes the message, with the
// offset that Begin returns.
func Begin(b []byte, kind, flags uint16, fixed ...byte) (out []byte, start int) {
	start = len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	return pad(append(b, fixed...)), start
}

// End writes the length of the message that began at start.
func End(b []byte, start int) []byte {
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// Attr appends an attribute.
func Attr(b []byte, kind uint16, v []byte) []byte {
	b = attrHeader(b, kind, len(v))
	return pad(append(b, v...))
}

// AttrString appends a text, with the octet 0 at its end.
func AttrString(b []byte, kind uint16, v string) []byte {
	b = attrHeader(b, kind, len(v)+1)
	return pad(append(append(b, v...), 0))
}

// AttrUint32 appends a number in the machine's byte order.
func AttrUint32(b []byte, kind uint16, v uint32) []byte {
	return binary.NativeEndian.AppendUint32(attrHeader(b, kind, 4), v)
}

// Nest begins an attribute that holds attributes. EndNest finishes it.
func Nest(b []byte, kind uint16) (out []byte, start int) {
	return attrHeader(b, kind|unix.NLA_F_NESTED, 0), len(b)
}

// EndNest writes the length of the attribute that began at start.
func EndNest(b []byte, start int) []byte {
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b
}

// Attrs calls f with each attribute. Its kind comes without the flags in its high bits. A length
// that is wrong ends it.
func Attrs(b []byte, f func(kind uint16, v []byte)) {
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofNlAttr || n > len(b) {
			return
		}
		kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		f(kind, b[unix.SizeofNlAttr:n])
		b = b[min(align(n), len(b)):]
	}
}

func attrHeader(b []byte, kind uint16, n int) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+n))
	return binary.NativeEndian.AppendUint16(b, kind)
}

func align(n int) int { return (n + 3) &^ 3 }

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

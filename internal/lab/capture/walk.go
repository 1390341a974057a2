package capture

import (
	"encoding/binary"
	"fmt"
)

// fixed is how many octets are before the options in those options that contain options: IA_NA,
// IA_TA, IAADDR, IA_PD and IAPREFIX (RFC 8415 section 21).
var fixed = map[int]int{3: 12, 4: 4, 5: 24, 25: 12, 26: 25}

// Walk reads all lengths in a DHCPv6 message, at all depths, and returns where the first length
// is that does not fit.
func Walk(message []byte) error {
	return walkMessage(message, "")
}

func walkMessage(b []byte, where string) error {
	head := 4
	if len(b) > 0 && (b[0] == 12 || b[0] == 13) {
		head = 34
	}
	if len(b) < head {
		return fmt.Errorf("message%s: %d octets, want at least %d", where, len(b), head)
	}
	return walkOptions(b[head:], fmt.Sprintf("%s/type %d", where, b[0]))
}

func walkOptions(b []byte, where string) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return fmt.Errorf("message%s: %d octets left, no option fits", where, len(b))
		}
		code, size := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b)-4 {
			return fmt.Errorf("message%s: option %d says %d octets, %d are left", where, code, size, len(b)-4)
		}
		if err := walkOption(code, b[4:4+size], where); err != nil {
			return err
		}
		b = b[4+size:]
	}
	return nil
}

func walkOption(code int, payload []byte, where string) error {
	if code == 9 {
		return walkMessage(payload, where)
	}
	head, nested := fixed[code]
	if !nested {
		return nil
	}
	where = fmt.Sprintf("%s/option %d", where, code)
	if len(payload) < head {
		return fmt.Errorf("message%s: %d octets, want at least %d", where, len(payload), head)
	}
	if code == 26 && payload[8] > 128 {
		return fmt.Errorf("message%s: prefix-length %d", where, payload[8])
	}
	return walkOptions(payload[head:], where)
}

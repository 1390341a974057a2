package config

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// maxOption bounds an option's payload, in octets: many of them have to go into one message.
const maxOption = 1024

// payload is what a whole option has behind its code and length.
func payload(option []byte) []byte { return option[4:] }

// decoder6 collects the options of one mapping.
type decoder6 struct {
	options []server6.Option
	at      map[dhcp6.OptionCode]Value
}

// add takes an option that is not there yet.
func (o *decoder6) add(v Value, option server6.Option) {
	if earlier, twice := o.at[option.Code]; twice {
		v.Problem("option %d is there already, as %s (once)", option.Code, earlier.place())
		return
	}
	if len(option.Data) > maxOption {
		v.Problem("%d octets long (an option has at most %d)", len(option.Data), maxOption)
		return
	}
	o.at[option.Code] = v
	o.options = append(o.options, option)
}

// options6 makes a reader of options that clients get.
func options6(to *[]server6.Option) func(Value) {
	return func(v Value) {
		o := &decoder6{at: make(map[dhcp6.OptionCode]Value)}
		v.Mapping(
			// The bounds are those outside of which clients do not heed them (RFC 8415 sections 21.23 to 21.25).
			o.time("sol-max-rt", dhcp6.OptionSolMaxRT, seconds(time.Minute, day)),
			o.time("inf-max-rt", dhcp6.OptionInfMaxRT, seconds(time.Minute, day)),
			o.time("information-refresh-time", dhcp6.OptionInformationRefreshTime, lifetime(10*time.Minute)),
			Optional("raw", func(v Value) { v.list("mappings with code, and hex or text", o.raw) }),
		)
		*to = o.options
	}
}

// time is an option of a time in seconds.
func (o *decoder6) time(key string, code dhcp6.OptionCode, parse func(string) (dhcp6.Lifetime, error)) Field {
	return Optional(key, func(v Value) {
		if t, ok := scalar(v, parse); ok {
			o.add(v, server6.Option{Code: code, Data: binary.BigEndian.AppendUint32(nil, uint32(t))})
		}
	})
}

// raw reads an option by its number.
func (o *decoder6) raw(v Value) {
	var option server6.Option
	var code Value
	before := len(v.d.problems)
	v.Mapping(
		Required("code", "the option's number", func(v Value) {
			code = v
			Read(&option.Code, optionCode)(v)
		}),
		Optional("hex", Read(&option.Data, hexadecimal)),
		Optional("text", Read(&option.Data, func(text string) ([]byte, error) { return []byte(text), nil })),
		Optional("always", Read(&option.Always, truth)),
	)
	switch {
	case len(v.d.problems) > before:
	case v.has("hex") == v.has("text"):
		v.Problem("the option's octets (hex or text, one of the two)")
	default:
		o.add(code, option)
	}
}

// hexadecimal parses octets, with or without colons between them.
func hexadecimal(text string) ([]byte, error) {
	b, err := dhcp6.ParseOctets(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not octets in hexadecimal (such as 0a1b or 0a:1b)", text)
	}
	return b, nil
}

// ownOptions are what the server writes by itself, what it answers, and what is a client's or
// a relay agent's to say.
var ownOptions = []dhcp6.OptionCode{
	dhcp6.OptionClientID, dhcp6.OptionServerID, dhcp6.OptionIANA, dhcp6.OptionIATA, dhcp6.OptionIAAddr, dhcp6.OptionORO,
	dhcp6.OptionPreference, dhcp6.OptionElapsedTime, dhcp6.OptionRelayMessage, dhcp6.OptionAuth, dhcp6.OptionUnicast,
	dhcp6.OptionStatusCode, dhcp6.OptionRapidCommit, dhcp6.OptionInterfaceID, dhcp6.OptionReconfMessage,
	dhcp6.OptionReconfAccept, dhcp6.OptionIAPD, dhcp6.OptionIAPrefix, dhcp6.OptionRemoteID, dhcp6.OptionSubscriberID,
	dhcp6.OptionERO, dhcp6.OptionLQQuery, dhcp6.OptionClientData, dhcp6.OptionCLTTime, dhcp6.OptionLQRelayData,
	dhcp6.OptionLQClientLink, dhcp6.OptionRelayID, dhcp6.OptionRSOO, dhcp6.OptionPDExclude, dhcp6.OptionClientLinkLayer,
	dhcp6.OptionLinkAddress, dhcp6.OptionRelayPort, dhcp6.OptionAddrRegEnable,
}

// optionCode parses the number of an option that the operator may give clients.
func optionCode(text string) (dhcp6.OptionCode, error) {
	code, err := integer[dhcp6.OptionCode](1, 65535)(text)
	if err == nil && slices.Contains(ownOptions, code) {
		err = fmt.Errorf("%[1]d is %[1]s, which the protocol itself writes (an option with settings for clients)", code)
	}
	return code, err
}

// class reads a class of clients.
func (p *plan6) class(v Value) {
	var c server6.Class
	test := func(t server6.Test) { c.Tests = append(c.Tests, t) }
	isMapping := v.Mapping(
		Required("name", "a name for pools to mention", func(v Value) {
			Read(&c.Name, peerName)(v)
			if earlier, twice := p.classes[c.Name]; twice {
				v.Problem("%q is there already, as %s (names are unique)", c.Name, earlier.place())
			} else if c.Name != "" {
				p.classes[c.Name] = v
			}
		}),
		Optional("vendor-class", func(v Value) {
			t := server6.Test{Option: dhcp6.OptionVendorClass}
			v.Mapping(
				Optional("enterprise", Read(&t.Enterprise, enterprise)),
				Required("data", "a text, or 0x and hexadecimal", Read(&t.Contains, octetString(maxText))),
			)
			test(t)
		}),
		Optional("user-class", func(v Value) {
			t := server6.Test{Option: dhcp6.OptionUserClass}
			Read(&t.Contains, octetString(maxText))(v)
			test(t)
		}),
		Optional("architecture", func(v Value) {
			var n uint16
			Read(&n, integer[uint16](0, 65535))(v)
			test(server6.Test{Option: dhcp6.OptionClientArchitectures, Contains: binary.BigEndian.AppendUint16(nil, n)})
		}),
		Optional("relay-options", func(v Value) {
			v.list("mappings with code and contains", func(v Value) {
				t := server6.Test{Relay: true}
				v.Mapping(
					Required("code", "the option's number", Read(&t.Option, relayOptionCode)),
					Required("contains", "a text, or 0x and hexadecimal", Read(&t.Contains, octetString(maxText))),
				)
				test(t)
			})
		}),
		Optional("options", options6(&c.Options)),
	)
	if isMapping && len(c.Tests) == 0 {
		v.Problem("no test (at least one of: vendor-class, user-class, architecture, relay-options)")
	}
	p.server.Classes = append(p.server.Classes, c)
}

// relayOptionCode parses the number of an option of relay agents, of which the Relay Message
// option says nothing about who sends it.
func relayOptionCode(text string) (dhcp6.OptionCode, error) {
	code, err := integer[dhcp6.OptionCode](1, 65535)(text)
	if err == nil && code == dhcp6.OptionRelayMessage {
		err = fmt.Errorf("%d is the client's message (an option of relay agents, such as 18, 37 or 38)", code)
	}
	return code, err
}

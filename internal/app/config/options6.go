package config

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// maxOption bounds the payload of the options with one code, in octets, because many options have
// to fit into one message.
const maxOption = 1024

// payload returns what an option has after its code and length.
func payload(option []byte) []byte { return option[4:] }

// decoder6 collects the options of one mapping.
type decoder6 struct {
	options []server6.Option
	at      map[dhcp6.OptionCode]Value
}

// add adds an option whose code is not there yet. If there are several payloads, each is sent as
// an option of its own.
func (o *decoder6) add(v Value, code dhcp6.OptionCode, always bool, payloads ...[]byte) {
	if earlier, twice := o.at[code]; twice {
		v.Problem("option %d is there already, as %s (once)", code, earlier.place())
		return
	}
	if octets := len(slices.Concat(payloads...)); octets > maxOption {
		v.Problem("%d octets long (an option has at most %d)", octets, maxOption)
		return
	}
	o.at[code] = v
	for _, payload := range payloads {
		o.options = append(o.options, server6.Option{Code: code, Data: payload, Always: always})
	}
}

// options6 returns a reader of options that clients get.
func options6(to *[]server6.Option) func(Value) {
	return func(v Value) {
		o := &decoder6{at: make(map[dhcp6.OptionCode]Value)}
		v.Mapping(
			o.list("dns-servers", dhcp6.OptionDNSServers, "addresses", serverAddress),
			o.list("domain-search", dhcp6.OptionDomainList, "domain names", domainName),
			Optional("ntp-servers", func(v Value) {
				if servers := payloads(v, "addresses and domain names", ntpServer); len(servers) > 0 {
					o.add(v, dhcp6.OptionNTPServer, false, servers...) // one option for each server (RFC 5908 section 4)
				}
			}),
			o.list("sntp-servers", dhcp6.OptionSNTPServers, "addresses", serverAddress),
			// Clients ignore values outside these bounds (RFC 8415 sections 21.23 to 21.25).
			o.time("sol-max-rt", dhcp6.OptionSolMaxRT, seconds(time.Minute, day)),
			o.time("inf-max-rt", dhcp6.OptionInfMaxRT, seconds(time.Minute, day)),
			o.time("information-refresh-time", dhcp6.OptionInformationRefreshTime, lifetime(10*time.Minute)),
			Optional("boot-file-url", func(v Value) {
				if b, ok := scalar(v, bootFileURL); ok {
					o.add(v, dhcp6.OptionBootFileURL, false, b)
				}
			}),
			Optional("raw", func(v Value) { v.list("mappings with code, and hex or text", o.raw) }),
		)
		*to = o.options
	}
}

// list returns the field of an option that has its entries one after the other.
func (o *decoder6) list(key string, code dhcp6.OptionCode, what string, parse func(string) ([]byte, error)) Field {
	return Optional(key, func(v Value) {
		if entries := payloads(v, what, parse); len(entries) > 0 {
			o.add(v, code, false, slices.Concat(entries...))
		}
	})
}

// payloads reads a list of at least one entry, or a single entry. It returns nothing if something
// is wrong.
func payloads(v Value, what string, parse func(string) ([]byte, error)) (all [][]byte) {
	before := len(v.d.problems)
	v.oneOrList(what, func(v Value) {
		if b, ok := scalar(v, parse); ok {
			all = append(all, b)
		}
	})
	if v.isEmptyList() {
		v.Problem("no entry (at least one, or leave the key out)")
	}
	if len(v.d.problems) > before {
		return nil
	}
	return all
}

// time returns the field of an option that is a time in seconds.
func (o *decoder6) time(key string, code dhcp6.OptionCode, parse func(string) (dhcp6.Lifetime, error)) Field {
	return Optional(key, func(v Value) {
		if t, ok := scalar(v, parse); ok {
			o.add(v, code, false, binary.BigEndian.AppendUint32(nil, uint32(t)))
		}
	})
}

// raw reads an option by its number.
func (o *decoder6) raw(v Value) {
	var code dhcp6.OptionCode
	var number Value
	var data []byte
	var always bool
	before := len(v.d.problems)
	v.Mapping(
		Required("code", "the option's number", func(v Value) {
			number = v
			Read(&code, optionCode)(v)
		}),
		Optional("hex", Read(&data, hexadecimal)),
		Optional("text", Read(&data, func(text string) ([]byte, error) { return []byte(text), nil })),
		Optional("always", Read(&always, truth)),
	)
	switch {
	case len(v.d.problems) > before:
	case v.has("hex") == v.has("text"):
		v.Problem("the option's octets (hex or text, one of the two)")
	default:
		o.add(number, code, always, data)
	}
}

// serverAddress parses the address of a server that clients are told of.
func serverAddress(text string) ([]byte, error) {
	a, err := unicast(text)
	return a.AsSlice(), err
}

// domainName parses a domain name, and returns it as it is sent.
func domainName(text string) ([]byte, error) {
	b, err := dhcp6.AppendDomainList(nil, text)
	return b, nameError(text, err)
}

// nameError says what is wrong with a domain name, and where.
func nameError(text string, err error) error {
	var at *dhcp6.Error
	if !errors.As(err, &at) {
		return err
	}
	// Up to this place the name has as many octets in the message as in the text.
	return &offsetError{at.Offset, fmt.Errorf("%q is no domain name (labels of a to z, 0 to 9, - and _ with dots between them, each of up to 63 characters, 253 in all)", text)}
}

// likeAddress matches what looks like an address, and is in no host's name: a colon, or only
// digits after the last dot.
var likeAddress = regexp.MustCompile(`:|(^|\.)[0-9]+$`)

// ntpServer parses an NTP server, and returns the suboption with it: the domain name or the
// address of a host, or a multicast address.
func ntpServer(text string) ([]byte, error) {
	if likeAddress.MatchString(text) {
		a, err := address(text)
		if err != nil {
			return nil, err
		}
		return dhcp6.AppendNTPServerAddress(nil, a), nil
	}
	b, err := dhcp6.AppendNTPServerName(nil, text)
	return b, nameError(text, err)
}

// ofURL has the characters that a URL may have beside letters and digits (RFC 3986 section 2).
const ofURL = "-._~:/?#[]@!$&'()*+,;=%"

// bootFileURL parses the URL of a boot file (RFC 5970 section 3.1).
func bootFileURL(text string) ([]byte, error) {
	foreign := strings.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(ofURL, r)
	})
	if foreign >= 0 {
		return nil, &offsetError{foreign, fmt.Errorf("%q has a character that no URL has (write it as %% and hexadecimal, such as %%20 for a space)", text)}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" || strings.Count(u.Host, ":") > 1 && u.Host[0] != '[' {
		return nil, fmt.Errorf("%q is no URL (such as http://boot.example.org/boot.efi, or tftp://[2001:db8::69]/boot.efi with an IPv6 address in brackets)", text)
	}
	return []byte(text), nil
}

// hexadecimal parses octets, with or without colons between them.
func hexadecimal(text string) ([]byte, error) {
	b, err := dhcp6.ParseOctets(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not octets in hexadecimal (such as 0a1b or 0a:1b)", text)
	}
	return b, nil
}

// ownOptions are the options that the server writes by itself, those with which it answers
// something, and those that only a client or a relay agent may send.
var ownOptions = []dhcp6.OptionCode{
	dhcp6.OptionClientID, dhcp6.OptionServerID, dhcp6.OptionIANA, dhcp6.OptionIATA, dhcp6.OptionIAAddr, dhcp6.OptionORO,
	dhcp6.OptionPreference, dhcp6.OptionElapsedTime, dhcp6.OptionRelayMessage, dhcp6.OptionAuth, dhcp6.OptionUnicast,
	dhcp6.OptionStatusCode, dhcp6.OptionRapidCommit, dhcp6.OptionInterfaceID, dhcp6.OptionReconfMessage,
	dhcp6.OptionReconfAccept, dhcp6.OptionIAPD, dhcp6.OptionIAPrefix, dhcp6.OptionRemoteID, dhcp6.OptionSubscriberID,
	dhcp6.OptionERO, dhcp6.OptionLQQuery, dhcp6.OptionClientData, dhcp6.OptionCLTTime, dhcp6.OptionLQRelayData,
	dhcp6.OptionLQClientLink, dhcp6.OptionRelayID, dhcp6.OptionRSOO, dhcp6.OptionPDExclude, dhcp6.OptionClientLinkLayer,
	dhcp6.OptionLinkAddress, dhcp6.OptionRelayPort, dhcp6.OptionAddrRegEnable,
}

// optionCode parses the number of an option that the operator may give to clients.
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

// relayOptionCode parses the number of an option of relay agents. The Relay Message option is not
// among them, because it says nothing about its sender.
func relayOptionCode(text string) (dhcp6.OptionCode, error) {
	code, err := integer[dhcp6.OptionCode](1, 65535)(text)
	if err == nil && code == dhcp6.OptionRelayMessage {
		err = fmt.Errorf("%d is the client's message (an option of relay agents, such as 18, 37 or 38)", code)
	}
	return code, err
}

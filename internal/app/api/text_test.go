package api_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/wire/dhcp6"
)

func TestLifetime(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		is   time.Duration
		text string
		json string
	}{
		{0, "0s", "0"},
		{-time.Hour, "0s", "0"},
		{999 * time.Millisecond, "0s", "0"},
		{time.Second, "1s", "1"},
		{59 * time.Second, "59s", "59"},
		{time.Minute, "1m", "60"},
		{61 * time.Second, "1m 1s", "61"},
		{time.Hour - time.Nanosecond, "59m 59s", "3599"},
		{time.Hour + 59*time.Second, "1h", "3659"},
		{day + time.Hour, "1d 1h", "90000"},
		{30 * day, "30d", "2592000"},
		{time.Duration(api.Infinite), "infinite", `"infinite"`},
	}
	for _, tt := range tests {
		l := api.Lifetime(tt.is)
		if got := l.String(); got != tt.text {
			t.Errorf("%v: %q, want %q", tt.is, got, tt.text)
		}
		got, err := json.Marshal(l)
		if err != nil || string(got) != tt.json {
			t.Errorf("%v in JSON: %s, %v, want %s", tt.is, got, err, tt.json)
		}
	}
}

func TestLifetimeFromJSON(t *testing.T) {
	for text, want := range map[string]api.Lifetime{
		"0": 0, "4294967294": api.Lifetime(4294967294 * time.Second), `"infinite"`: api.Infinite,
	} {
		var got api.Lifetime
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "1.5", `"forever"`, "9223372036854775807", "true"} {
		var got api.Lifetime
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s: taken as %d, want an error", text, got)
		}
	}
}

func TestParseIdentifier(t *testing.T) {
	want := api.Identifier("\x00\x03\x00\x01\x0a")
	for _, text := range []string{"00:03:00:01:0a", "0003000a"[:4] + "00010a", "0:3:0:1:A"} {
		if got, err := api.ParseIdentifier(text); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := api.ParseIdentifier("0g:01:02"); !errors.Is(err, dhcp6.ErrMalformed) {
		t.Errorf("0g:01:02: err = %v, want %v", err, dhcp6.ErrMalformed)
	}
	for _, text := range []string{"", strings.Repeat("00", 256)} {
		if _, err := api.ParseIdentifier(text); err == nil {
			t.Errorf("%d octets are taken", len(text)/2)
		}
	}
}

// A client's identifier that breaks the rules is shown all the same.
func TestIdentifierTextTakesAnyLength(t *testing.T) {
	for _, d := range []api.Identifier{"", "\x01", api.Identifier(make([]byte, 300))} {
		text, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back api.Identifier
		if err := back.UnmarshalText(text); err != nil || back != d {
			t.Errorf("%d octets: %q came back as %d octets, %v", len(d), text, len(back), err)
		}
	}
	var d api.Identifier
	if err := d.UnmarshalText([]byte("00:0")); err == nil {
		t.Error("00:0: taken, want an error")
	}
}

// An IAID is a number in JSON, and absent where there is none.
func TestIAIDInJSON(t *testing.T) {
	for want, d := range map[string]api.IAID{`{"iaid":0}`: {Known: true}, `{"iaid":4294967295}`: {ID: 4294967295, Known: true}, `{}`: {}} {
		type with struct {
			IAID api.IAID `json:"iaid,omitzero"`
		}
		b, err := json.Marshal(with{d})
		if err != nil || string(b) != want {
			t.Errorf("%+v is %s, %v; want %s", d, b, err, want)
		}
		var back with
		if err := json.Unmarshal(b, &back); err != nil || back.IAID != d {
			t.Errorf("%s is read as %+v, %v; want %+v", b, back.IAID, err, d)
		}
	}
}

package api_test

import (
	"encoding/json"
	"errors"
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

func TestParseDUID(t *testing.T) {
	want := api.DUID("\x00\x03\x00\x01\x0a")
	for _, text := range []string{"00:03:00:01:0a", "0003000a"[:4] + "00010a", "0:3:0:1:A"} {
		if got, err := api.ParseDUID(text); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]error{"00:01": dhcp6.ErrTruncated, "0g:01:02": dhcp6.ErrMalformed, "": dhcp6.ErrTruncated} {
		if _, err := api.ParseDUID(text); !errors.Is(err, want) {
			t.Errorf("%q: err = %v, want %v", text, err, want)
		}
	}
}

// A client's DUID may break the rules; it is shown all the same.
func TestDUIDTextTakesAnyLength(t *testing.T) {
	for _, d := range []api.DUID{"", "\x01", api.DUID(make([]byte, 300))} {
		text, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back api.DUID
		if err := back.UnmarshalText(text); err != nil || back != d {
			t.Errorf("%d octets: %q came back as %d octets, %v", len(d), text, len(back), err)
		}
	}
	var d api.DUID
	if err := d.UnmarshalText([]byte("00:0")); err == nil {
		t.Error("00:0: taken, want an error")
	}
}

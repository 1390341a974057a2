package ipsec_test

import (
	"context"
	"slices"
	"testing"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/lab/ike"
)

// ask returns the list with this key in a charon's answer to a command, in order.
func ask(t *testing.T, c *ike.Charon, command, key string) []string {
	t.Helper()
	v, err := vici.NewSession(vici.WithAddr("unix", c.Socket))
	need(t, err)
	defer v.Close()
	out, err := v.Call(context.Background(), command, nil)
	need(t, err)
	names, _ := out.Get(key).([]string)
	slices.Sort(names)
	return names
}

func sharedKeys(t *testing.T, c *ike.Charon) []string {
	t.Helper()
	return ask(t, c, "get-shared", "keys")
}
